"""The ledger's database: its engine, its schema and the two kinds of transaction on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from seedance_dagster.ledger.driver_errors import describe_driver_error
from seedance_dagster.ledger.engines import WRITES, create_engine, share_compiled, wait_s
from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError, LedgerVersionError
from seedance_dagster.ledger.postgresql import encoding_problem
from seedance_dagster.ledger.tables.schema import OLDER_REVISIONS, REVISION, VERSION_TABLE, metadata
from seedance_dagster.ledger.turns import NoTurn, turn_at
from seedance_dagster.net.secrets import hide, secrets_in

_WRITER_LOCK = 0x5EEDACE  # one PostgreSQL advisory lock stands in for SQLite's single writer
# For writers on PostgreSQL: one that stalls loses its transaction before others stop waiting for it.
_WRITER_LIMITS_S = {"idle_in_transaction_session_timeout": 20, "lock_timeout": 30, "statement_timeout": 60}
# A claim must survive a crash of the server, or its POST could be paid for twice.
_DURABLE = sa.func.coalesce(sa.func.nullif(sa.func.current_setting("synchronous_commit"), "off"), "local")
_LABELED = {"host", "port"}  # a socket, or several hosts
_EXCLUSIVE, _SHARED = sa.func.pg_advisory_xact_lock, sa.func.pg_advisory_xact_lock_shared


class Database:
    """A SQLAlchemy engine with one writer at a time, apart from those that only change single rows.

    One writer at a time makes every check-then-write of the ledger (claims, budgets, in-flight
    limits) as simple as it reads.
    """

    def __init__(self, url: str) -> None:
        url = url.strip()  # a secret in a file often ends with a line break
        hide(*secrets_in(url))
        self._engine = create_engine(url)
        self._writing_engine = self._engine.execution_options(**{WRITES: True})
        self._together = threading.local()
        sqlite = self._engine.dialect.name == "sqlite"
        self._turn = turn_at(str(self._engine.url.database)) if sqlite else NoTurn()
        # Of the query only what says where the ledger is: drivers take passwords there too.
        query = {name: value for name, value in self._engine.url.query.items() if name in _LABELED}
        self.label = self._engine.url.set(query=query).render_as_string(hide_password=True)
        try:
            self._prepare()
        except BaseException:
            self._engine.dispose()
            raise
        share_compiled(self._engine, self._writing_engine)

    @property
    def is_persistent(self) -> bool:
        """Return False for SQLite in memory, which is lost when the process ends."""
        name = self._engine.url.database or ""
        return self._engine.dialect.name != "sqlite" or (bool(name) and ":memory:" not in name)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a read transaction.

        Raises:
            LedgerUnavailableError: The database cannot be read.
        """
        shared: sa.Connection | None = getattr(self._together, "connection", None)
        if shared is not None:
            yield shared
            return
        with self._user_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading_together(self) -> Iterator[None]:
        """Make all reads of this thread in the block one transaction.

        Raises:
            LedgerUnavailableError: The database cannot be read.
        """
        with self.reading() as connection:
            before = getattr(self._together, "connection", None)
            self._together.connection = connection
            try:
                yield
            finally:
                self._together.connection = before

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that no other writer overlaps, in any process.

        Raises:
            LedgerUnavailableError: The database is locked, full, read-only or gone; nothing was changed.
        """
        with self._writer(_EXCLUSIVE) as connection:
            yield connection

    @contextmanager
    def updating(self) -> Iterator[sa.Connection]:
        """Open a transaction that changes single rows, each under conditions that its own statement checks.

        On PostgreSQL such transactions may overlap one another, but not a `writing` one. Only the changed
        rows are locked, each by its own statement, so nothing else that the transaction reads may decide what
        it writes.

        Raises:
            LedgerUnavailableError: As for `writing`.
        """
        with self._writer(_SHARED) as connection:
            yield connection

    @contextmanager
    def _writer(self, lock: Callable[[int], sa.ColumnElement[Any]]) -> Iterator[sa.Connection]:
        # If the turn does not come in time, the database itself reports that it is locked.
        with self._user_errors(), self._turn.taken(wait_s()), self._writing_engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # In one round trip; the limits come first, so they apply to the wait for the lock.
                limits = (
                    sa.func.set_config(name, f"{seconds * 1000:.0f}ms", sa.true())
                    for name, seconds in _WRITER_LIMITS_S.items()
                )
                durable = sa.func.set_config("synchronous_commit", _DURABLE, sa.true())
                connection.execute(sa.select(*limits, durable, lock(_WRITER_LOCK)))
            yield connection

    def time(self, connection: sa.Connection) -> datetime | None:
        """Return the server's time (UTC); None on SQLite, which has the clock of its only machine."""
        if connection.dialect.name == "sqlite":
            return None
        now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _prepare(self) -> None:
        with self.reading() as connection:
            # Checked first without the writer's lock and without alembic: ledgers are opened often.
            if self._is_current(connection):
                return
        with self.writing() as connection:
            if not self._is_current(connection):
                if connection.dialect.name == "postgresql" and (problem := encoding_problem(connection)):
                    raise LedgerError(f"the ledger at {self.label} cannot be created: {problem}")
                from seedance_dagster.ledger.migrations.upgrade import upgrade  # noqa: PLC0415

                upgrade(connection)

    def _is_current(self, connection: sa.Connection) -> bool:
        """Return True when the tables are of this version, False when there are none or older ones.

        Raises:
            LedgerVersionError: Their version cannot be upgraded, or is lost.
        """
        present = set(sa.inspect(connection).get_table_names())
        if present.isdisjoint({VERSION_TABLE, *metadata.tables}):
            return False
        version = sa.table(VERSION_TABLE, sa.column("version_num", sa.Text))
        revision = connection.scalar(sa.select(version.c.version_num)) if VERSION_TABLE in present else None
        revision = None if revision is None else str(revision)
        if revision == REVISION:
            return True
        if revision in OLDER_REVISIONS:
            return False
        if revision is None:
            problem = f"has lost its content or the row of {VERSION_TABLE}: restore it from a backup"
        elif revision > REVISION:
            problem = (
                f"has schema revision {revision}, and this seedance-dagster knows up to {REVISION}: upgrade "
                "seedance-dagster"
            )
        else:
            problem = (
                f"has schema revision {revision[:20]!r}, which this seedance-dagster cannot upgrade: use the "
                "version that wrote it, or restore a backup"
            )
        raise LedgerVersionError(f"the ledger at {self.label} {problem}; nothing was changed or submitted")

    @contextmanager
    def _user_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # The driver's message, without SQLAlchemy's SQL and parameters.
            msg = f"the ledger at {self.label} did not answer: {describe_driver_error(error.orig)}"
            raise LedgerUnavailableError(msg) from None
        except SQLAlchemyError as error:
            msg = f"the ledger at {self.label} did not answer: {type(error).__name__}"
            raise LedgerUnavailableError(msg) from None
        except AssertionError as error:
            # SQLAlchemy's own, when Ctrl-C interrupts its commit: report the interrupt.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise
