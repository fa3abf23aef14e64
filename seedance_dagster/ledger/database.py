"""The ledger's database: its engine, its schema and the two kinds of transaction on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError, LedgerVersionError
from seedance_dagster.ledger.schema import OLDER_REVISIONS, REVISION, VERSION_TABLE, metadata
from seedance_dagster.net.secrets import hide, secrets_in

_BUSY_TIMEOUT_MS = 30_000
_WRITER_LOCK = 0x5EEDACE  # one PostgreSQL advisory lock stands in for SQLite's single writer
# Of a writer on PostgreSQL: one that stands still loses its transaction before others stop waiting for it.
_WRITER_LIMITS_S = {"idle_in_transaction_session_timeout": 20, "lock_timeout": 30, "statement_timeout": 60}
_LIMIT_MESSAGES = {  # by SQLSTATE
    "25P03": "this process stood still in a transaction for too long, and nothing of it was written",
    "55P03": "another process has been writing for too long",
    "57014": "a statement took too long",
}
_CONNECT_S = 10  # libpq itself waits forever for a server that accepts and says nothing
_LOOKS, _BETWEEN_LOOKS_S = 5, 0.2
_ALLOWED = "allowed are sqlite:////path/to/file and postgresql://user@host/database"


class Database:
    """A SQLAlchemy engine whose writers come one at a time.

    One writer at a time makes every check-then-write of the ledger (claims, budgets, in-flight
    limits) as simple as it reads; the work is a few small rows a second, so nothing is lost.
    """

    def __init__(self, url: str) -> None:
        hide(*secrets_in(url))
        self._engine = _create_engine(url)
        # Without the query: drivers take passwords there too.
        self.label = self._engine.url.set(query={}).render_as_string(hide_password=True)
        try:
            self._prepare()
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def is_persistent(self) -> bool:
        """Return False for SQLite in memory, which is forgotten with the process."""
        name = self._engine.url.database or ""
        return self._engine.dialect.name != "sqlite" or (bool(name) and ":memory:" not in name)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a read transaction.

        Raises:
            LedgerUnavailableError: The database cannot be read.
        """
        with self._user_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that no other writer overlaps, in any process.

        Raises:
            LedgerUnavailableError: The database is locked, full, read-only or gone; nothing was changed.
        """
        with (
            self._user_errors(),
            self._engine.execution_options(seedance_writes=True).begin() as connection,
        ):
            if connection.dialect.name == "postgresql":
                limits = (
                    sa.func.set_config(name, f"{seconds * 1000:.0f}ms", sa.true())
                    for name, seconds in _WRITER_LIMITS_S.items()
                )
                connection.execute(sa.select(*limits))
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER_LOCK)))
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
                from seedance_dagster.ledger.migrations.upgrade import upgrade  # noqa: PLC0415

                upgrade(connection)

    def _is_current(self, connection: sa.Connection) -> bool:
        """Return True when the tables are of this version, False when there are none or older ones.

        Raises:
            LedgerVersionError: They are of a version that cannot be upgraded, or have lost it.
        """
        present = set(sa.inspect(connection).get_table_names())
        if present.isdisjoint({VERSION_TABLE, *metadata.tables}):
            return False
        version = sa.table(VERSION_TABLE, sa.column("version_num", sa.Text))
        found = connection.scalar(sa.select(version.c.version_num)) if VERSION_TABLE in present else None
        if found == REVISION:
            return True
        if found in OLDER_REVISIONS:
            return False
        if found is None:
            problem = f"has lost its content or the row of {VERSION_TABLE}: restore it from a backup"
        elif found > REVISION:
            problem = (
                f"has schema revision {found}, and this seedance-dagster knows {REVISION} at most: upgrade "
                "seedance-dagster"
            )
        else:
            problem = (
                f"has schema revision {found[:20]!r}, which this seedance-dagster cannot upgrade: use the "
                "version that wrote it, or restore a backup"
            )
        raise LedgerVersionError(f"the ledger at {self.label} {problem}; nothing was changed or submitted")

    @contextmanager
    def _user_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # The driver's message, without SQLAlchemy's SQL and parameters.
            msg = f"the ledger at {self.label} did not answer: {_driver_message(error)}"
            raise LedgerUnavailableError(msg) from None
        except SQLAlchemyError as error:
            msg = f"the ledger at {self.label} did not answer: {type(error).__name__}"
            raise LedgerUnavailableError(msg) from None
        except AssertionError as error:
            # SQLAlchemy's own, when Ctrl-C interrupts its commit: report the interrupt.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise


def _driver_message(error: DBAPIError) -> str:
    message = str(error.orig).strip()
    words = message.splitlines()[0] if message else type(error.orig).__name__
    limit = _LIMIT_MESSAGES.get(getattr(error.orig, "sqlstate", None) or "")
    return f"{limit} ({words})" if limit else words


def _create_engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            msg = f"the ledger's URL (SEEDANCE_LEDGER_URL) names {parsed.get_backend_name()}; {_ALLOWED}"
            raise LedgerError(msg)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        sqlite = parsed.get_backend_name() == "sqlite"
        name = (parsed.database or ":memory:").removeprefix("file:")
        if sqlite and not name.startswith(":memory:"):
            file = Path(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            _check_content(file)
        options: dict[str, Any] = {}
        if not sqlite:
            options = {"pool_pre_ping": True}
            if "connect_timeout" not in parsed.query:
                options["connect_args"] = {"connect_timeout": _CONNECT_S}
        engine = sa.create_engine(parsed, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        msg = f"the ledger's URL has no driver: {error}; pip install 'seedance-dagster[postgres]'"
        raise LedgerError(msg) from None
    except OSError as error:
        msg = f"the ledger's folder cannot be created: {error}"
        raise LedgerUnavailableError(msg) from None
    except (SQLAlchemyError, ValueError):  # ValueError for an invalid port; it may be a password
        msg = f"the ledger's URL (SEEDANCE_LEDGER_URL) cannot be read; {_ALLOWED}"
        raise LedgerError(msg) from None
    if sqlite:
        sa.event.listen(engine, "connect", _on_sqlite_connect)
        sa.event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _check_content(file: Path) -> None:
    """Raise `LedgerVersionError` for a file that is there and empty."""
    for _ in range(_LOOKS):
        if not file.is_file() or file.stat().st_size:
            return
        time.sleep(_BETWEEN_LOOKS_S)  # another process may be creating it: an instant later it has content
    raise LedgerVersionError(
        f"the ledger {file} is an empty file: it has lost its content. Restore it from a backup; if it never "
        "held an order, delete the file. Nothing was changed or submitted"
    )


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling would commit before some statements.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL: a claim must survive a power cut, or its POST could be paid for twice.
    connection.execute("PRAGMA synchronous=FULL")


def _on_sqlite_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("seedance_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
