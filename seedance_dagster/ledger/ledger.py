"""The ledger, composed of its parts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Self

import sqlalchemy as sa

from seedance_dagster.ledger.archive import Archive
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.budgets import Budgets
from seedance_dagster.ledger.checked_videos import CheckedVideos
from seedance_dagster.ledger.comparisons import Comparisons
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.errors import LedgerError, LedgerMovedError, LedgerVersionError
from seedance_dagster.ledger.index_state import Indexes
from seedance_dagster.ledger.journal import Journal
from seedance_dagster.ledger.moving import Moving
from seedance_dagster.ledger.observations import Observations
from seedance_dagster.ledger.partitions import Partitions
from seedance_dagster.ledger.placement import Orders
from seedance_dagster.ledger.queries import Queries
from seedance_dagster.ledger.reconciliation import Reconciliation
from seedance_dagster.ledger.references import References
from seedance_dagster.ledger.repairs import Repairs
from seedance_dagster.ledger.reports import Reports
from seedance_dagster.ledger.restoration import Restoration
from seedance_dagster.ledger.scored_videos import ScoredVideos
from seedance_dagster.ledger.scores import Scores
from seedance_dagster.ledger.set_orders import SetOrders
from seedance_dagster.ledger.set_spend import SetSpends
from seedance_dagster.ledger.spend import Spend
from seedance_dagster.ledger.tables.schema import ledger_identity
from seedance_dagster.ledger.tiles.tiles import Tiles
from seedance_dagster.ledger.uploads import Uploads
from seedance_dagster.ledger.verdicts import Verdicts
from seedance_dagster.ledger.videos import Videos
from seedance_dagster.ledger.work.claims import Claims
from seedance_dagster.ledger.work.leases import Leases
from seedance_dagster.ledger.work.pauses import Pauses
from seedance_dagster.ledger.work.polls import Polls
from seedance_dagster.ledger.work.rates import Rates
from seedance_dagster.ledger.work.tasks import Tasks
from seedance_dagster.ledger.work.withdrawals import Withdrawals
from seedance_dagster.ledger.work.workload import Workload


@dataclass(frozen=True)
class Identity:
    """The id of a ledger and the time of its creation (UTC); neither ever changes."""

    ledger_id: str
    created_at: datetime


class Ledger:
    """All orders with their states, leases and money, and an append-only journal of every transition.

    Each public method of a part is one transaction, safe to call from any thread and any process at any time.

    Attributes:
        orders: Placing orders, or finding the existing ones that answer a request.
        claims: Taking queued orders for sending.
        withdrawals: Ending queued orders that nobody wants any more.
        tasks: Following tasks at the vendor to their videos.
        polls: The task that is polled next.
        leases: The workers, and the orders that each works on.
        pauses: Periods in which no process may submit.
        observations: Numbers that the vendor reported.
        rates: Rate limits that processes share.
        reconciliation: Orders whose reply was lost.
        budgets: The used part of each budget.
        spend: Money by day, set, model, tag or run.
        set_spend: The money of one set, by all of these keys at once.
        queries: Orders and their journals.
        journal: The newest entry of the journal, and the changes since an entry.
        archive: The journals of orders that ended long ago, which are in S3.
        partitions: The request of each partition, and the orders linked to it.
        workload: Work that is due, and sums over all orders.
        videos: The current video of each partition.
        indexes: The state of each set's index in S3.
        checked: The problems that checks found with each video.
        scores: The results of scores for videos.
        scored: The videos that were scored, and the results last reported of each.
        set_orders: Rates and prices of one set.
        tiles: The gallery's tiles, one for each partition.
        verdicts: The verdicts on videos.
        comparisons: People's preferences between two variants.
        reports: The prompts and orders that were reported to Dagster.
        references: Cached probes of reference files.
        uploads: Files at the vendor's file service.
        repairs: Missing orders, and steps back from the end of the lifecycle.
        moving: Moving to another database.
        restoration: A backup that is behind, or a new ledger in the place of a lost one.

    Example:
        >>> ledger = Ledger.open("sqlite:////var/lib/seedance/ledger.db")
        >>> ledger.workload.counts()
        {}
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database, self._clock = database, clock
        self.orders = Orders(database, clock)
        self.claims = Claims(database, clock)
        self.withdrawals = Withdrawals(database, clock)
        self.tasks = Tasks(database, clock)
        self.polls = Polls(database, clock)
        self.leases = Leases(database, clock)
        self.pauses = Pauses(database, clock)
        self.observations = Observations(database, clock)
        self.rates = Rates(database, clock)
        self.reconciliation = Reconciliation(database, clock)
        self.budgets = Budgets(database, clock)
        self.spend = Spend(database, clock)
        self.set_spend = SetSpends(database, clock)
        self.queries = Queries(database, clock)
        self.journal = Journal(database, clock)
        self.archive = Archive(database, clock)
        self.partitions = Partitions(database, clock)
        self.workload = Workload(database, clock)
        self.videos = Videos(database, clock)
        self.indexes = Indexes(database, clock)
        self.checked = CheckedVideos(database, clock)
        self.scores = Scores(database, clock)
        self.scored = ScoredVideos(database, clock)
        self.set_orders = SetOrders(database, clock)
        self.tiles = Tiles(database, clock)
        self.verdicts = Verdicts(database, clock)
        self.comparisons = Comparisons(database, clock)
        self.reports = Reports(database, clock)
        self.references = References(database, clock)
        self.uploads = Uploads(database, clock)
        self.repairs = Repairs(database, clock)
        self.restoration = Restoration(database, clock)
        self.moving = Moving(database, clock)

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], datetime] = utc_now) -> Self:
        """Open a ledger, creating its tables in an empty database.

        Args:
            url: A SQLAlchemy URL, SQLite or PostgreSQL.
            clock: The wall clock, aware and in UTC.

        Raises:
            LedgerUnavailableError: The database cannot be opened or written.
            LedgerVersionError: It was written by a newer version.
            LedgerMovedError: The ledger was moved to another database.
            LedgerError: The URL cannot be used for a ledger.
        """
        database = Database(url)
        if not database.is_persistent:
            database.close()
            msg = (
                f"the ledger's URL {database.label} names no file, so all orders and charges would be "
                "forgotten; use sqlite:////path/to/ledger.db"
            )
            raise LedgerError(msg)
        opened = cls(database, clock=clock)
        try:
            opened._check_not_moved()
        except LedgerError:
            database.close()
            raise
        return opened

    @cached_property
    def identity(self) -> Identity:
        """Return this ledger's identity, wherever its database is; raise `LedgerError`."""
        with self._database.reading() as connection:
            columns = (ledger_identity.c.ledger_id, ledger_identity.c.created_at)
            rows = connection.execute(sa.select(*columns)).all()
        if len(rows) != 1:
            ids = ", ".join(str(row.ledger_id) for row in rows) or "none"
            raise LedgerVersionError(
                f"the ledger at {self.label} must have one id in the table {ledger_identity.name}, and has "
                f"{ids}: it was edited, or two were merged. Restore it from a backup; nothing was ordered or "
                "sent"
            )
        return Identity(*rows[0])

    def take_identity(self, identity: Identity) -> None:
        """Take over the identity of a lost ledger, which S3 and Dagster know.

        Raises:
            LedgerError: Something was ordered in this ledger.
        """
        self.restoration.take_identity(identity.ledger_id, identity.created_at)
        self.__dict__.pop("identity", None)  # cached

    def _check_not_moved(self) -> None:
        with self._database.reading() as connection:
            moved_to = connection.scalar(sa.select(ledger_identity.c.moved_to))
        if moved_to is not None:
            raise LedgerMovedError(self.label, moved_to)

    def reading_together(self) -> AbstractContextManager[None]:
        """Make all reads of this thread in a block one transaction; raise `LedgerUnavailableError`."""
        return self._database.reading_together()

    def clock_difference(self) -> timedelta:
        """Return how far this machine's clock is ahead of the database's; zero on SQLite.

        Raises:
            LedgerUnavailableError: The database cannot be read.
        """
        if self._clock is not utc_now:
            return timedelta(0)  # a test's own clock
        with self._database.reading() as connection:
            database_time = self._database.time(connection)
        return timedelta(0) if database_time is None else utc_now() - database_time

    @property
    def label(self) -> str:
        """Return the database's URL without its password."""
        return self._database.label

    def close(self) -> None:
        """Close all connections."""
        self._database.close()
