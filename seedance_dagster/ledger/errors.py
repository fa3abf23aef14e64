"""The ledger's errors.

LedgerError
├── LedgerUnavailableError   cannot be opened, is locked, its disk is full
├── LedgerVersionError       written by another version of this package, or damaged
├── LedgerMovedError         an old copy: the ledger was moved to another database
├── BindingError             Dagster's instance remembers another ledger, or a newer copy of this one
├── LedgerBehindError        the database was replaced by an older copy while it was used
├── BudgetExceededError      new orders would exceed a budget
├── StaleOrderError          the order moved on, or is under another lease
├── VerdictError             a verdict on a video, or a comparison, that cannot be recorded or taken back
└── TaskOwnedError           the task id belongs to another order already
"""

from __future__ import annotations

from collections.abc import Sequence

from seedance_dagster.counting import counted
from seedance_dagster.ledger.position import Position
from seedance_dagster.money import usd_text
from seedance_dagster.net.secrets import SafeError


class LedgerError(SafeError):
    """Base of all ledger errors; the message is for people and holds no secret."""


class LedgerUnavailableError(LedgerError):
    """The database cannot be opened or written; nothing was changed."""


class LedgerVersionError(LedgerError):
    """The ledger's schema is of another version of the package, or its content is lost."""


class LedgerMovedError(LedgerError):
    """The ledger is an old copy that was closed when the ledger moved.

    Args:
        label: Its URL, without the password.
        moved_to: The URL of the database that the ledger moved to, without the password.
    """

    def __init__(self, label: str, moved_to: str) -> None:
        self.label, self.moved_to = label, moved_to
        super().__init__(
            f"the ledger at {label} was moved to {moved_to}: set SEEDANCE_LEDGER_URL to that. This "
            "one is an old copy, and nothing was ordered or sent"
        )


class BindingError(LedgerError):
    """Dagster's instance remembers another ledger, a newer copy of this one, or another source of a set."""


class LedgerBehindError(LedgerError):
    """The ledger lost an entry of its journal while this process used it; nothing more is sent.

    Args:
        label: The ledger's database.
        position: The entry.
    """

    def __init__(self, label: str, position: Position) -> None:
        self.position = position
        super().__init__(
            f"the ledger at {label} lost entry {position.entry_id} of its journal while this process used "
            "it: an older copy took its place, as after a failover to a server without the last commits. It "
            "does not know what was ordered and paid for since, so nothing more is sent. Run "
            "`seedance-dagster restore`, which brings it up to date from vendor, S3 and Dagster"
        )


class BudgetExceededError(LedgerError):
    """New orders would exceed a budget; none was placed.

    Args:
        exceeded: Descriptions of the limits that would be exceeded.
        reserved_points: What all new orders would reserve together.
        requested: The number of new orders that were requested.
        affordable: How many of them, from the first on, would fit.
    """

    def __init__(
        self, exceeded: Sequence[str], *, reserved_points: int, requested: int, affordable: int
    ) -> None:
        self.affordable = affordable
        fits = f"the first {affordable} would fit" if affordable else "none would fit"
        super().__init__(
            f"{counted(requested, 'new video')} may cost up to {usd_text(reserved_points)} and "
            f"{'does' if requested == 1 else 'do'} not fit "
            f"the {'; nor the '.join(exceeded)}; {fits}"
        )


class StaleOrderError(LedgerError):
    """The order is no longer in the expected state or lease; its current owner continues with it."""


class TaskOwnedError(LedgerError):
    """The task belongs to another order already."""


class VerdictError(LedgerError):
    """A verdict or an answer cannot be given or taken back; nothing was recorded."""
