"""Material that takes longer to make than a test takes to run: made once in a process, then shared."""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import botocore.session
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from botocore.hooks import EventAliaser
from sqlalchemy.util import LRUCache

from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.tables.schema import ledger_identity, metadata

if TYPE_CHECKING:
    import dagster as dg

INSTANCE_SETTINGS = {"telemetry": {"enabled": False}}


@cache
def _empty_ledger() -> tuple[bytes, bytes]:
    """Return the file of an empty SQLite ledger, and the id in it."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
        ledger_id = ledger.identity.ledger_id.encode()
        ledger.close()
        return Path(folder, "ledger.db").read_bytes(), ledger_id


def prepare_ledger(url: str) -> None:
    """Write an empty ledger with an id of its own, if the URL names a SQLite file that does not exist."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or Path(str(parsed.database)).exists():
        return
    content, ledger_id = _empty_ledger()
    path = Path(str(parsed.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.replace(ledger_id, str(uuid4()).encode()))


def empty_ledger(engine: sa.Engine) -> None:
    """Reset a ledger in PostgreSQL: empty, with a new id, counting from 1."""
    with engine.begin() as connection:
        connection.exec_driver_sql(_emptying(), execution_options={"no_parameters": True})
        new = {"ledger_id": str(uuid4()), "created_at": utc_now()}
        connection.execute(ledger_identity.insert().values(new))


@cache
def _emptying() -> str:
    """Return all statements that empty a ledger as one, which the server is sent at once."""
    statements = []
    for table in metadata.tables.values():
        statements.append(str(table.delete()))
        column = table.autoincrement_column
        if column is not None:
            sequence = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
            statements.append(f"SELECT setval({sequence}, 1, false)")
    return "; ".join(statements)


@cache
def _empty_instance() -> dict[str, bytes]:
    """Return the files of a new Dagster instance, by path."""
    import dagster as dg

    with tempfile.TemporaryDirectory() as folder:
        with dg.DagsterInstance.local_temp(folder, overrides=INSTANCE_SETTINGS):
            pass
        files = (path for path in Path(folder).rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def open_instance(home: Path) -> dg.DagsterInstance:
    """Open a new instance with its files in a folder."""
    import dagster as dg

    for name, content in _empty_instance().items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return dg.DagsterInstance.local_temp(str(home), overrides=INSTANCE_SETTINGS)


def share_setup(patch: pytest.MonkeyPatch) -> None:
    """Let clients of S3, migrations and Dagster's databases share what each would read or compile again."""
    new_directory = ScriptDirectory.from_config

    @cache  # Dagster's own are eighty modules for each of its three databases
    def directory(location: str | None) -> ScriptDirectory:
        config = Config()
        config.set_main_option("script_location", str(location))
        return new_directory(config)

    def shared_directory(config: Config) -> ScriptDirectory:
        return directory(config.get_main_option("script_location"))

    new_name = EventAliaser._alias_event_name

    @cache
    def event_name(name: str) -> str:
        return new_name(EventAliaser(None), name)

    # Each session reads a megabyte of JSON for its first client, and each client renames all events again.
    patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
    patch.setattr(EventAliaser, "_alias_event_name", lambda _, name: event_name(name))
    patch.setattr(ScriptDirectory, "from_config", shared_directory)
    if "dagster" in sys.modules:
        _share_compiled(patch)


def _share_compiled(patch: pytest.MonkeyPatch) -> None:
    """Let Dagster's SQLite databases share what SQLAlchemy compiles: each connection has an engine."""
    shared, compiled = sa.create_engine("sqlite://"), LRUCache(1000)
    shared.connect().close()  # completes its dialect

    def create_engine(url: str, **options: Any) -> sa.Engine:
        engine = sa.create_engine(url, **options)
        engine.dialect = shared.dialect
        engine.update_execution_options(compiled_cache=compiled)
        return engine

    for storage in ("event_log.in_memory", "event_log.sqlite.sqlite_event_log", "runs.in_memory"):
        patch.setattr(f"dagster._core.storage.{storage}.create_engine", create_engine)
    patch.setattr("dagster._core.storage.runs.sqlite.sqlite_run_storage.create_engine", create_engine)
