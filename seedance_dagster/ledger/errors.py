"""What can go wrong with the ledger.

LedgerError
├── LedgerUnavailableError   cannot be opened, is locked, its disk is full
├── LedgerVersionError       written by a newer version of this package
├── BudgetExceededError      new orders would cross a budget
├── StaleOrderError          the order moved on, or its lease passed to somebody else
└── TaskOwnedError           the task id belongs to another order already
"""

from __future__ import annotations

from collections.abc import Sequence

from seedance_dagster.money import points_to_usd


class LedgerError(Exception):
    """Base of all ledger errors; the message is for people and holds no secret."""


class LedgerUnavailableError(LedgerError):
    """The database cannot be opened or written; nothing was changed."""


class LedgerVersionError(LedgerError):
    """The ledger's schema is newer than this version of the package."""


class BudgetExceededError(LedgerError):
    """New orders would cross a budget; nothing was accepted.

    Args:
        crossed: The limits that would be crossed, in words.
        estimated_points: What the new orders are estimated at together.
        asked: How many new orders were asked for.
        fitting: How many of them, from the first on, would fit.
    """

    def __init__(self, crossed: Sequence[str], *, estimated_points: int, asked: int, fitting: int) -> None:
        self.fitting = fitting
        fits = f"the first {fitting} would fit" if fitting else "none would fit"
        super().__init__(
            f"{asked} new videos are estimated at {points_to_usd(estimated_points)} USD and do not fit the "
            f"{'; nor the '.join(crossed)}; {fits}"
        )


class StaleOrderError(LedgerError):
    """The order is no longer in the expected state or lease; whoever holds it goes on with it."""


class TaskOwnedError(LedgerError):
    """A task id may belong to one order only."""
