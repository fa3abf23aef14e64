"""Databases that cannot be a ledger, or not now: each gives a message, and nothing is ordered."""

from __future__ import annotations

import socket
import sqlite3
from datetime import timedelta

import pytest
import sqlalchemy as sa
from factories import make_new_order

from seedance_dagster.ledger import postgresql
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.driver_errors import describe_driver_error
from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError, LedgerVersionError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.ledger.tables.schema import ledger_identity

PASSWORD = "Hunter2-secret"


def place(ledger: Ledger) -> None:
    ledger.orders.place([make_new_order()], OrderRequest(idempotency_key="c", run_id="r"))


def read_only(url: str) -> str:
    """Return the URL by which a database can only be read."""
    if url.startswith("sqlite"):
        return f"sqlite:///file:{url.removeprefix('sqlite:///')}?mode=ro&uri=true"
    return f"{url}{'&' if '?' in url else '?'}options=-cdefault_transaction_read_only%3Don"


@pytest.mark.each_database
@pytest.mark.parametrize("ids", [[], ["first", "second"]])
def test_a_ledger_has_one_id(ledger_url, ids):
    """A ledger without an id, or with two, was edited or merged, and is refused."""
    ledger = Ledger.open(ledger_url)
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        created_at = connection.execute(sa.select(ledger_identity)).one().created_at
        connection.execute(ledger_identity.delete())
        for ledger_id in ids:
            connection.execute(ledger_identity.insert().values(ledger_id=ledger_id, created_at=created_at))
    with pytest.raises(LedgerVersionError, match=f"must have one id .* and has {', '.join(ids) or 'none'}: "):
        ledger.identity  # noqa: B018  reading it is the test
    ledger.close()
    engine.dispose()


def test_a_server_that_accepts_and_says_nothing_is_not_waited_for(monkeypatch):
    """The message names the database, and not its password."""
    monkeypatch.setitem(postgresql._DEFAULTS, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://me:{PASSWORD}@127.0.0.1:{server.getsockname()[1]}/ledger"
        with pytest.raises(LedgerUnavailableError, match=r"did not answer: .*timeout") as caught:
            Ledger.open(url)
    assert PASSWORD not in str(caught.value)


@pytest.mark.each_database
def test_a_database_that_cannot_be_written_takes_no_order(ledger_url):
    """The message says that it is read-only; what it holds can be read."""
    Ledger.open(ledger_url).close()
    ledger = Ledger.open(read_only(ledger_url))
    with pytest.raises(LedgerUnavailableError, match=r"read-?only"):
        place(ledger)
    assert ledger.queries.find() == []
    ledger.close()


def test_a_file_that_may_not_be_written_says_so(tmp_path):
    """The user of the process is at fault, not the ledger."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger.open(url).close()
    ledger = Ledger.open(read_only(url))
    with pytest.raises(LedgerUnavailableError, match=r"this user may not write the file, .* \(attempt to"):
        place(ledger)
    ledger.close()


@pytest.mark.parametrize("kind", ["folder", "broken link"])
def test_a_ledger_that_is_no_file_says_so(tmp_path, kind):
    """SQLite only says that it cannot open it."""
    place = tmp_path / "ledger.db"
    place.mkdir() if kind == "folder" else place.symlink_to(tmp_path / "nowhere" / "ledger.db")
    with pytest.raises(
        LedgerUnavailableError, match="it is a folder, a broken link, or in a folder in which"
    ):
        Ledger.open(f"sqlite:///{place}")


def test_a_disk_that_is_full_from_the_start_says_so():
    """SQLite cannot make its other files then, and only says that reading or writing failed."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    assert describe_driver_error(error) == "its disk is full, or failed (disk I/O error)"


@pytest.mark.each_database
def test_an_empty_database_that_cannot_be_written_is_refused(ledger_url):
    """An empty database that cannot be written is refused, since it cannot have tables."""
    if ledger_url.startswith("sqlite"):
        sqlite3.connect(ledger_url.removeprefix("sqlite:///")).execute("PRAGMA journal_mode=WAL").close()
    with pytest.raises(LedgerError, match=r"read-?only|unable to open"):
        Ledger.open(read_only(ledger_url))


@pytest.mark.each_database
def test_tables_of_another_product_by_our_names_are_refused(ledger_url):
    """Another product's tables with our names are refused and stay as they are."""
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE seedance_orders (number TEXT)"))
    with pytest.raises(LedgerVersionError, match="has lost its content or the row of"):
        Ledger.open(ledger_url)
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == ["seedance_orders"]
    engine.dispose()


@pytest.mark.each_database
def test_the_database_has_its_own_clock(ledger_url, monkeypatch):
    """On PostgreSQL it is compared with the machine's; SQLite has the clock of its only machine."""
    ledger = Ledger.open(ledger_url)
    assert abs(ledger.clock_difference()) < timedelta(minutes=5)
    time = Database.time

    def an_hour_behind(self, connection):
        now = time(self, connection)
        return now and now - timedelta(hours=1)

    monkeypatch.setattr(Database, "time", an_hour_behind)
    ahead = timedelta(0) if ledger_url.startswith("sqlite") else timedelta(hours=1)
    assert abs(ledger.clock_difference() - ahead) < timedelta(minutes=5)
    ledger.close()
