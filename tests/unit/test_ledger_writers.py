"""Writers of a ledger on PostgreSQL: none makes the others wait forever."""

from __future__ import annotations

import time
from concurrent.futures import Future
from datetime import UTC, datetime
from threading import Thread

import pytest
import sqlalchemy as sa

from seedance_dagster.ledger import database
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.tables.schema import observations, pauses

pytestmark = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)


@pytest.fixture
def two(ledger_url, monkeypatch):
    """Opens two processes' connections to one ledger, with short limits for their transactions in seconds."""
    opened = []

    def open_two(**limits: float) -> tuple[Database, Database]:
        monkeypatch.setattr(database, "_WRITER_LIMITS_S", database._WRITER_LIMITS_S | limits)
        opened.extend((Database(ledger_url), Database(ledger_url)))
        return opened[0], opened[1]

    yield open_two
    for ledger in opened:
        ledger.close()


def test_a_writer_that_stands_still_loses_its_transaction(two):
    """The others go on, and it writes nothing on waking (case m23)."""
    frozen, living = two(idle_in_transaction_session_timeout=3)

    def freeze() -> None:
        with frozen.writing() as connection:
            connection.execute(pauses.delete())
            with living.writing() as other:
                other.execute(sa.select(pauses))
            connection.execute(pauses.delete())

    with pytest.raises(LedgerUnavailableError, match="this process stalled in a transaction"):
        freeze()
    with frozen.writing() as connection:
        assert connection.execute(sa.select(pauses)).all() == [], "it goes on with a new connection"


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_writer_that_waited_sees_what_the_other_wrote(ledger_url, isolation):
    """A stricter default of the server would show it what held before it waited, such as a budget."""
    url = sa.make_url(ledger_url).update_query_dict(
        {"options": "-cdefault_transaction_isolation=" + isolation.replace(" ", "\\ ")}
    )
    first, second = (Database(url.render_as_string(hide_password=False)) for _ in range(2))
    seen = Future[int]()

    def read() -> None:
        with second.writing() as connection:
            seen.set_result(
                connection.execute(sa.select(sa.func.count()).select_from(observations)).scalar_one()
            )

    waits = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    thread = Thread(target=read)
    with first.writing() as connection:
        thread.start()
        while not connection.scalar(waits):
            time.sleep(0.01)
        row = {"name": "limit", "value": 1, "observed_at": datetime.now(UTC)}
        connection.execute(observations.insert().values(row))
    thread.join()
    assert seen.result(timeout=0) == 1
    for ledger in (first, second):
        ledger.close()


def test_a_writer_that_waits_too_long_says_why(two):
    """A limit that is hit is an unavailable ledger, in words."""
    busy, waiting = two(lock_timeout=0.5)
    with busy.writing():
        began = time.monotonic()
        with (
            pytest.raises(LedgerUnavailableError, match="another process has been writing for too long"),
            waiting.writing(),
        ):
            pytest.fail("two writers at once")
    assert time.monotonic() - began < 20
