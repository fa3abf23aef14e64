"""Opening the ledger, and what is said when that fails."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from multiprocessing import get_context

import pytest
import sqlalchemy as sa

from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError, LedgerVersionError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.ledger.schema import SCHEMA_VERSION, schema_version


@pytest.mark.each_database
def test_a_ledger_opened_again_has_what_was_written(ledger_url, new_order):
    """Rows survive closing, and the folder of a new SQLite file is made."""
    ledger = Ledger.open(ledger_url)
    ledger.orders.place([new_order()], OrderRequest(idempotency_key="c", run_id="r"))
    ledger.close()
    again = Ledger.open(ledger_url)
    assert len(again.queries.find()) == 1
    again.close()


@pytest.mark.each_database
def test_a_newer_ledger_is_refused_untouched(ledger_url):
    """A ledger of a newer version is refused in words, and nothing in it changes."""
    Ledger.open(ledger_url).close()
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(schema_version.update().values(version=SCHEMA_VERSION + 1))
    engine.dispose()
    with pytest.raises(LedgerVersionError, match="upgrade seedance-dagster"):
        Ledger.open(ledger_url)


def test_processes_may_open_an_empty_ledger_at_once(tmp_path):
    """Four processes that open one new file all succeed."""
    url = f"sqlite:///{tmp_path}/new/ledger.db"
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(_open_and_count, [url] * 4)) == [0] * 4


def _open_and_count(url: str) -> int:
    ledger = Ledger.open(url)
    count = len(ledger.queries.find())
    ledger.close()
    return count


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("no url at all", "takes sqlite:///"),
        ("mysql://u:hunter2@host/db", "takes sqlite:///"),
        ("oracle+nothing://u:hunter2@host/db", "takes sqlite:///"),
        ("postgresql+nodriver://u:hunter2@host/db", "no driver"),
        ("postgresql://u:hunter2@127.0.0.1:1/db?connect_timeout=2", "did not answer"),
        ("sqlite:////proc/nowhere/ledger.db", "cannot be made"),
        ("sqlite:////proc", "did not answer"),
    ],
)
def test_a_ledger_that_cannot_be_opened_is_said_plainly(url, words):
    """The message names the trouble and never the password."""
    with pytest.raises(LedgerError, match=words) as caught:
        Ledger.open(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_garbage_in_place_of_a_ledger_is_said_plainly(tmp_path):
    """A file that is no database is not overwritten."""
    path = tmp_path / "ledger.db"
    path.write_text("this is my diary, not a database " * 100)
    with pytest.raises(LedgerUnavailableError, match="not a database"):
        Ledger.open(f"sqlite:///{path}")
    assert path.read_text().startswith("this is my diary")


def test_a_locked_ledger_is_said_plainly(tmp_path, new_order, monkeypatch):
    """A writer that never lets go gives an error in words, and nothing is written."""
    monkeypatch.setattr("seedance_dagster.ledger.database._BUSY_TIMEOUT_MS", 50)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    blocker = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailableError, match="locked"):
        ledger.orders.place([new_order()], OrderRequest(idempotency_key="c", run_id="r"))
    blocker.rollback()
    blocker.close()
    assert ledger.queries.find() == []
    ledger.close()


def test_naive_times_are_refused(ledger, new_order):
    """A time without a zone is a programming error that writes nothing."""
    with pytest.raises(LedgerError):
        ledger.pauses.start("x", until=datetime(2026, 1, 1), message="x")  # noqa: DTZ001  the point of the test
    assert ledger.pauses.active() == {}


def test_the_label_hides_the_password(tmp_path):
    """What is shown of the ledger's address is safe to show."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    assert ledger.label.endswith("ledger.db")
    ledger.close()


def test_an_interrupt_within_a_commit_is_an_interrupt(tmp_path, monkeypatch):
    """Ctrl-C that strikes while SQLAlchemy ends a transaction is no crash of its own (chaos seed 1166)."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")

    def struck(_transaction):
        raise KeyboardInterrupt

    monkeypatch.setattr(sa.engine.RootTransaction, "_deactivate_from_connection", struck)
    with pytest.raises(KeyboardInterrupt):
        ledger.leases.acquire("w", "w", seconds=1)
