"""The ledger: what was ordered and paid, in SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Self

from seedance_dagster.ledger.acceptance import Acceptance
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.budgets import Budgeting
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.dataset import Dataset
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.flows import Flows
from seedance_dagster.ledger.following import Following
from seedance_dagster.ledger.leasing import Leasing
from seedance_dagster.ledger.prompts_told import PromptsTold
from seedance_dagster.ledger.reading import Reading
from seedance_dagster.ledger.references import References
from seedance_dagster.ledger.repairing import Repairing
from seedance_dagster.ledger.settling import Settling
from seedance_dagster.ledger.spending import Spending
from seedance_dagster.ledger.submitting import Submitting
from seedance_dagster.ledger.tracing import Tracing


class Ledger(
    Acceptance,
    Submitting,
    Settling,
    Following,
    Leasing,
    Reading,
    Dataset,
    Budgeting,
    Flows,
    PromptsTold,
    References,
    Spending,
    Tracing,
    Repairing,
):
    """All orders with their states, leases and money, and an append-only journal of every transition.

    Each public method is one transaction, safe to call from any thread and any process at once.

    Example:
        >>> ledger = Ledger.open("sqlite:///ledger.db")
        >>> ledger.counts()
        {}
    """

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], datetime] = utc_now) -> Self:
        """Open a ledger, making its tables in an empty database.

        Args:
            url: A SQLAlchemy URL, SQLite or PostgreSQL.
            clock: The wall clock, aware and in UTC.

        Raises:
            LedgerUnavailableError: The database cannot be opened or written.
            LedgerVersionError: It was written by a newer version.
            LedgerError: The URL is no ledger's.
        """
        database = Database(url)
        if not database.lasting:
            database.close()
            msg = (
                f"the ledger's URL {database.label} names no file, so what was ordered and paid would be "
                "forgotten: write sqlite:////path/to/ledger.db"
            )
            raise LedgerError(msg)
        return cls(database, clock=clock)

    @property
    def label(self) -> str:
        """The database's URL without its password."""
        return self._database.label

    def close(self) -> None:
        """Close all connections."""
        self._database.close()
