"""Engines of the ledger's databases; those of one process share what SQLAlchemy compiles."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Hashable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.util import LRUCache

from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError, LedgerVersionError
from seedance_dagster.ledger.postgresql import create_postgresql_engine

WRITES = "seedance_writes"
"""The execution option of a connection whose transaction writes."""

BUSY_TIMEOUT_MS = 30_000
_TRY_AGAIN_S = (0.0005, 0.003)  # SQLite's own waits grow to 0.1 s, and the longest waiter is served last
_BUSY = 5  # SQLITE_BUSY
LOOKS, BETWEEN_LOOKS_S = 5, 0.2
_ALLOWED = "allowed are sqlite:////path/to/file and postgresql://user@host/database"
_MAX_SHARED = 8  # a process uses one ledger, or a few

_MAX_COMPILED = 1000  # statements; a page of the gallery has many forms

_Compiled = MutableMapping[Any, Any]
_shared: dict[Hashable, tuple[sa.Dialect, _Compiled]] = {}
_shared_lock = threading.Lock()


def wait_s() -> float:
    """Return how many seconds a writer waits for others."""
    return BUSY_TIMEOUT_MS / 1000


def create_engine(url: str) -> sa.Engine:
    """Return an engine for a ledger's URL; raise `LedgerError`."""
    try:
        engine = _new_engine(sa.make_url(url), has_query="?" in url)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        msg = (
            f"the ledger's URL (SEEDANCE_LEDGER_URL) has no driver: {error}; {_ALLOWED}, the second after "
            "pip install 'seedance-dagster[postgres]'"
        )
        raise LedgerError(msg) from None
    except OSError as error:
        msg = f"the ledger's folder cannot be created or read: {error}"
        raise LedgerUnavailableError(msg) from None
    except (SQLAlchemyError, ValueError):  # ValueError for an invalid port; it may be a password
        msg = f"the ledger's URL (SEEDANCE_LEDGER_URL) cannot be read; {_ALLOWED}"
        raise LedgerError(msg) from None
    known = _shared.get(_kind(engine))
    if known is not None:
        engine.dialect, cache = known
        engine.update_execution_options(compiled_cache=cache)
    return engine


def _new_engine(url: sa.URL, *, has_query: bool) -> sa.Engine:
    backend = url.get_backend_name()
    if backend != "sqlite" and "@" in f"{url.host}{url.database}":
        raise LedgerError(
            "the ledger's URL (SEEDANCE_LEDGER_URL) has a second @, which cuts its password in two: write @ "
            "in a password as %40"
        )
    if backend == "postgresql":
        return create_postgresql_engine(url)
    if backend != "sqlite":
        raise LedgerError(f"the ledger's URL (SEEDANCE_LEDGER_URL) names {backend}; {_ALLOWED}")
    name = (url.database or ":memory:").removeprefix("file:")
    if not name.startswith(":memory:"):
        _check_file(name, has_options=has_query and "uri" not in url.query)
        file = Path(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        _check_content(file)
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _on_sqlite_connect)
    sa.event.listen(engine, "begin", _on_sqlite_begin)
    sa.event.listen(engine, "invalidate", _on_sqlite_invalidate)
    return engine


def _check_file(name: str, *, has_options: bool) -> None:
    """Raise `LedgerError` for a URL of SQLite that means another file than its writer."""
    subject, whole = "the ledger's URL (SEEDANCE_LEDGER_URL)", "such as sqlite:////home/me/ledger.db"
    if name.startswith(("~", "$", "%")):
        raise LedgerError(
            f"{subject} names {name}, which no shell expands inside a URL: write the whole path, {whole}"
        )
    if not Path(name).is_absolute():
        raise LedgerError(
            f"{subject} names {name}, another file in each folder in which a process starts: write the whole "
            f"path, with four slashes, {whole}"
        )
    if has_options:
        raise LedgerError(
            f"{subject} names {name}, and what follows its ? has no effect on a file: leave it out, and "
            "write a ? of the path as %3F"
        )


def share_compiled(*engines: sa.Engine) -> None:
    """Share what is compiled for a connected engine with later engines of the process.

    Each tick opens the ledger, and compiling its statements takes 0.3 s of CPU time. Only the dialect
    and the compiled statements are shared, no connection, so a process may be forked at any time.

    Args:
        engines: One engine, with different execution options.
    """
    kind = _kind(engines[0])
    with _shared_lock:
        if kind not in _shared:
            while len(_shared) >= _MAX_SHARED:
                del _shared[next(iter(_shared))]
            cache: _Compiled = LRUCache(_MAX_COMPILED)
            _shared[kind] = (engines[0].dialect, cache)
            for engine in engines:
                engine.update_execution_options(compiled_cache=cache)


def _kind(engine: sa.Engine) -> Hashable:
    """Return the key of a shared dialect: the server and its user, or one key for all SQLite files."""
    return "sqlite" if engine.dialect.name == "sqlite" else engine.url


def _check_content(file: Path) -> None:
    """Raise `LedgerVersionError` for a file that exists and is empty."""
    for _ in range(LOOKS):
        if not file.is_file() or file.stat().st_size:
            return
        time.sleep(BETWEEN_LOOKS_S)  # another process may be creating it: an instant later it has content
    raise LedgerVersionError(
        f"the ledger {file} is an empty file: it has lost its content. Restore it from a backup; if it never "
        "held an order, delete the file. Nothing was changed or submitted"
    )


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling would commit before some statements.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL: a claim must survive a power cut, or its POST could be paid for twice.
    connection.execute("PRAGMA synchronous=FULL")


def _on_sqlite_invalidate(connection: sqlite3.Connection, _record: Any, _error: BaseException | None) -> None:
    # An interrupt's traceback keeps a cursor alive, and that keeps a closed connection's transaction open.
    with suppress(sqlite3.Error):
        connection.rollback()


def _on_sqlite_begin(connection: sa.Connection) -> None:
    if not connection.get_execution_options().get(WRITES, False):
        connection.exec_driver_sql("BEGIN")
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute("PRAGMA busy_timeout=0")
    try:
        _wait_for_turn(driver)
        if not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises as SQLAlchemy does
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _wait_for_turn(driver: sqlite3.Connection) -> None:
    """Begin a write transaction once no other process has one; give up after `wait_s` seconds."""
    deadline = time.monotonic() + wait_s()
    while time.monotonic() < deadline:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != _BUSY:
                return
        else:
            return
        time.sleep(random.uniform(*_TRY_AGAIN_S))  # noqa: S311  spreads tries, guards nothing
