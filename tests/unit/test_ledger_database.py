"""Opening the ledger, its migrations, and its errors."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from processes_support import loaded_processes

from seedance_dagster.ledger import engines
from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError, LedgerVersionError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.migrations.upgrade import alembic_config
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.ledger.tables.schema import REVISION, VERSION_TABLE, metadata


@pytest.mark.each_database
def test_a_reopened_ledger_has_its_orders(ledger_url, new_order):
    """Rows survive closing, and the folder of a new SQLite file is created."""
    ledger = Ledger.open(ledger_url)
    ledger.orders.place([new_order()], OrderRequest(idempotency_key="c", run_id="r"))
    ledger.close()
    again = Ledger.open(ledger_url)
    assert len(again.queries.find()) == 1
    again.close()


@pytest.mark.each_database
def test_a_newer_ledger_is_refused_untouched(ledger_url):
    """A ledger of a newer version is refused with a plain message, and nothing in it changes."""
    Ledger.open(ledger_url).close()
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
        before = sa.inspect(connection).get_table_names()
    with pytest.raises(LedgerVersionError, match=rf"revision 0999, and .* knows up to {REVISION}: upgrade"):
        Ledger.open(ledger_url)
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == before
        assert connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")) == "0999"
    engine.dispose()


@pytest.mark.each_database
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (f"DELETE FROM {VERSION_TABLE}", "has lost its content or the row of"),
        (f"DROP TABLE {VERSION_TABLE}", "has lost its content or the row of"),
        (f"UPDATE {VERSION_TABLE} SET version_num = '0'", "revision '0', which .* cannot upgrade"),
        (f"UPDATE {VERSION_TABLE} SET version_num = ''", "revision '', which .* cannot upgrade"),
    ],
)
def test_a_ledger_without_its_version_is_refused_untouched(ledger_url, new_order, damage, words):
    """A ledger without its version is refused untouched, and never taken for an empty one (x9, x10)."""
    ledger = Ledger.open(ledger_url)
    ledger.orders.place([new_order()], OrderRequest(idempotency_key="c", run_id="r"))
    ledger.close()
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(sa.text(damage))
    with pytest.raises(LedgerVersionError, match=words):
        Ledger.open(ledger_url)
    with engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM seedance_orders")) == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:Tr0ub@dor99@db/x", "write @ in a password as %40"),
        ("sqlite:///~/ledger.db", "names ~/ledger.db, which no shell expands"),
        ("postgresql://me:Tr0u@b/dor99@db/x", "write @ in a password as %40"),
        ("sqlite:///$HOME/ledger.db", "write the whole path"),
        ("sqlite:///ledger.db", "names ledger.db, another file in each folder"),
        ("sqlite:///file:ledger.db?uri=true", "names ledger.db, another file in each folder"),
        ("sqlite:////srv/what?/ledger.db", "write a ? of the path as %3F"),
        ("sqlite:////srv/ledger.db?timeout=5", "names /srv/ledger.db, and what follows its ? has no effect"),
    ],
)
def test_a_url_with_a_pitfall_says_what_to_write(url, words):
    """No part of a password is shown, and no folder is made."""
    with pytest.raises(LedgerError, match=re.escape(words)) as refused:
        Ledger.open(url)
    assert "dor99" not in str(refused.value)
    assert not any(Path(name).exists() for name in ("~", "ledger.db"))


def test_a_damaged_file_is_to_be_restored(tmp_path):
    """The error of a damaged file says to restore it from a backup."""
    (tmp_path / "ledger.db").write_text("something else " * 1000)
    with pytest.raises(LedgerUnavailableError, match=r"is damaged or of another kind .*: restore it"):
        Ledger.open(f"sqlite:///{tmp_path}/ledger.db")


def test_an_emptied_file_is_refused(tmp_path, monkeypatch):
    """A file of 0 bytes was a ledger once, or has to be deleted by hand (x9)."""
    monkeypatch.setattr(engines, "BETWEEN_LOOKS_S", 0)
    (tmp_path / "ledger.db").touch()
    with pytest.raises(LedgerVersionError, match="is an empty file: it has lost its content"):
        Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    assert (tmp_path / "ledger.db").stat().st_size == 0


@pytest.mark.each_database
def test_a_database_of_another_product_may_hold_a_ledger_too(ledger_url):
    """A database may hold a ledger and another product's tables, which are left alone."""
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('theirs')"))
    Ledger.open(ledger_url).close()
    with engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "theirs"
    engine.dispose()


@pytest.mark.each_database
def test_the_migrated_schema_is_the_declared_one(ledger_url):
    """Migrating an empty database gives the tables, columns, indexes and constraints that are declared."""
    Ledger.open(ledger_url).close()
    engine = sa.create_engine(ledger_url)
    options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == REVISION
        scripts = ScriptDirectory.from_config(alembic_config(connection))
    engine.dispose()
    assert scripts.get_heads() == [REVISION]
    assert all(revision.revision <= REVISION for revision in scripts.walk_revisions())


@pytest.mark.further
def test_opening_an_existing_ledger_does_not_load_alembic(tmp_path):
    """Every command and step opens the ledger, and importing alembic takes a hundred times as long."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger.open(url).close()
    code = (
        "import sys; from seedance_dagster.ledger.ledger import Ledger; "
        f"Ledger.open({url!r}).close(); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.each_database
def test_a_migration_that_fails_leaves_an_empty_database(ledger_url, monkeypatch):
    """All or nothing: the next start migrates from the beginning."""
    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_index", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Ledger.open(ledger_url)
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == []
    engine.dispose()
    Ledger.open(ledger_url).close()


@pytest.mark.each_database
def test_processes_may_open_an_empty_ledger_at_once(ledger_url):
    """Four processes that open one empty database all succeed."""
    with ProcessPoolExecutor(4, mp_context=loaded_processes()) as pool:
        assert list(pool.map(_open_and_count, [ledger_url] * 4)) == [0] * 4


def test_threads_may_open_empty_ledgers_at_once(tmp_path):
    """Alembic's context is global to a process; ledgers that are migrated at once do not share it."""
    urls = [f"sqlite:///{tmp_path}/{number % 4}/ledger.db" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(_open_and_count, urls)) == [0] * 16


def _open_and_count(url: str) -> int:
    ledger = Ledger.open(url)
    count = len(ledger.queries.find())
    ledger.close()
    return count


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("no url at all", "allowed are sqlite:///"),
        ("mysql://u:hunter2@host/db", "allowed are sqlite:///"),
        ("oracle+nothing://u:hunter2@host/db", "allowed are sqlite:///"),
        ("postgresql+nodriver://u:hunter2@host/db", "no driver"),
        ("postgresql://u:hunter2@127.0.0.1:1/db?connect_timeout=2", "did not answer"),
        ("sqlite:////proc/nowhere/ledger.db", "cannot be created"),
        ("sqlite:////proc", "did not answer"),
    ],
)
def test_an_unusable_url_gives_a_plain_message(url, words):
    """The message names the trouble, and never the password."""
    with pytest.raises(LedgerError, match=words) as caught:
        Ledger.open(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_not_a_database_is_not_overwritten(tmp_path):
    """The message says so, and the file stays as it is."""
    path = tmp_path / "ledger.db"
    path.write_text("this is my diary, not a database " * 100)
    with pytest.raises(LedgerUnavailableError, match="not a database"):
        Ledger.open(f"sqlite:///{path}")
    assert path.read_text().startswith("this is my diary")


def test_a_locked_ledger_gives_a_plain_message(tmp_path, new_order, monkeypatch):
    """A writer that never ends gives an error in words, and nothing is written."""
    monkeypatch.setattr("seedance_dagster.ledger.engines.BUSY_TIMEOUT_MS", 50)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    blocker = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailableError, match="locked"):
        ledger.orders.place([new_order()], OrderRequest(idempotency_key="c", run_id="r"))
    blocker.rollback()
    blocker.close()
    assert ledger.queries.find() == []
    ledger.close()


@pytest.mark.each_database
def test_naive_times_are_refused(ledger, new_order):
    """A time without a zone is a programming error that writes nothing."""
    with pytest.raises(LedgerError):
        ledger.pauses.start("x", until=datetime(2026, 1, 1), message="x")  # noqa: DTZ001  the point of the test
    assert ledger.pauses.active() == {}


def test_the_label_hides_the_password(tmp_path):
    """The label is safe to show."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    assert ledger.label.endswith("ledger.db")
    ledger.close()
