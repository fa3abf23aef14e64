"""The ledger: what was ordered and paid, in SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Self

from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.budgets import Budgets
from seedance_dagster.ledger.claims import Claims
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.leases import Leases
from seedance_dagster.ledger.observations import Observations
from seedance_dagster.ledger.orders import Orders
from seedance_dagster.ledger.pauses import Pauses
from seedance_dagster.ledger.queries import Queries
from seedance_dagster.ledger.reconciliation import Reconciliation
from seedance_dagster.ledger.references import References
from seedance_dagster.ledger.repairs import Repairs
from seedance_dagster.ledger.reports import Reports
from seedance_dagster.ledger.spend import Spend
from seedance_dagster.ledger.tasks import Tasks
from seedance_dagster.ledger.videos import Videos
from seedance_dagster.ledger.workload import Workload


class Ledger:
    """All orders with their states, leases and money, and an append-only journal of every transition.

    Each public method of a part is one transaction, safe to call from any thread and any process at once.

    Attributes:
        orders: Places orders, or finds the existing ones that answer a request.
        claims: Takes queued orders for sending.
        tasks: Follows tasks at the vendor to their videos.
        leases: Says which worker works on what.
        pauses: Says when no process may submit.
        observations: Numbers that the vendor reported.
        reconciliation: What is known of orders whose reply was lost.
        budgets: How much of each budget is used.
        spend: Where the money went.
        queries: Orders and their journals.
        workload: What there is to do, and sums over all orders.
        videos: The videos that partitions show.
        reports: What was reported to Dagster.
        references: What was seen of reference files.
        repairs: What an audit asks and repairs.

    Example:
        >>> ledger = Ledger.open("sqlite:///ledger.db")
        >>> ledger.workload.counts()
        {}
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self.orders = Orders(database, clock)
        self.claims = Claims(database, clock)
        self.tasks = Tasks(database, clock)
        self.leases = Leases(database, clock)
        self.pauses = Pauses(database, clock)
        self.observations = Observations(database, clock)
        self.reconciliation = Reconciliation(database, clock)
        self.budgets = Budgets(database, clock)
        self.spend = Spend(database, clock)
        self.queries = Queries(database, clock)
        self.workload = Workload(database, clock)
        self.videos = Videos(database, clock)
        self.reports = Reports(database, clock)
        self.references = References(database, clock)
        self.repairs = Repairs(database, clock)

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], datetime] = utc_now) -> Self:
        """Open a ledger, creating its tables in an empty database.

        Args:
            url: A SQLAlchemy URL, SQLite or PostgreSQL.
            clock: The wall clock, aware and in UTC.

        Raises:
            LedgerUnavailableError: The database cannot be opened or written.
            LedgerVersionError: It was written by a newer version.
            LedgerError: The URL cannot be used for a ledger.
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
        """Return the database's URL without its password."""
        return self._database.label

    def close(self) -> None:
        """Close all connections."""
        self._database.close()
