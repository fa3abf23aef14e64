"""Threads of a process write to a SQLite file in turns; other ledgers do not wait."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from seedance_dagster.ledger import engines
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.tables.schema import pauses
from seedance_dagster.ledger.turns import turn_at


@pytest.fixture
def open_database(tmp_path):
    """Opens the ledger's database, as often as wanted."""
    opened: list[Database] = []

    def open_one(name: str = "ledger") -> Database:
        opened.append(Database(f"sqlite:///{tmp_path}/{name}.db"))
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


def read_as_writer(writer: Database) -> list[object]:
    with writer.writing() as connection:
        return list(connection.execute(pauses.select()))


def test_a_waiting_thread_does_not_sleep_in_sqlite(open_database, monkeypatch):
    """A waiting thread writes as soon as the other ends, without trying the file's lock in between."""
    tries: list[int] = []
    wait = engines._wait_for_turn
    monkeypatch.setattr(engines, "_wait_for_turn", lambda driver: (tries.append(1), wait(driver)))
    first, second = open_database(), open_database()
    tries.clear()
    writing, ended = threading.Event(), threading.Event()

    def write() -> None:
        with first.writing():
            writing.set()
            ended.wait(5)

    with ThreadPoolExecutor(2) as threads:
        threads.submit(write)
        assert writing.wait(5)
        waiting = threads.submit(read_as_writer, second)
        time.sleep(0.05)
        assert len(tries) == 1, "the second waits for its turn"
        ended.set()
        assert waiting.result(5) == []


def test_another_file_has_turns_of_its_own(open_database):
    """One thread can write to two files at once, as when a ledger is moved."""
    with open_database("one").writing() as one, open_database("two").writing() as two:
        assert one.execute(pauses.select()).all() == two.execute(pauses.select()).all() == []


def test_a_turn_that_does_not_come_is_a_locked_database(open_database, monkeypatch):
    """A turn that does not come is reported as a locked database."""
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 20)
    first, second = open_database(), open_database()
    with (
        first.writing(),
        pytest.raises(LedgerUnavailableError, match="database is locked"),
        second.writing(),
    ):
        pytest.fail("two writers at once")


def test_a_forked_process_waits_for_no_thread_of_its_parent(tmp_path):
    """A forked process does not wait for a turn that a thread of its parent has."""
    turn = turn_at(str(tmp_path))
    with turn.taken(1):
        child = os.fork()
        if child == 0:
            with turn.taken(0.01) as came:
                os._exit(0 if came else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        with turn.taken(0.01) as came:
            assert not came


def test_what_was_compiled_for_one_ledger_serves_the_next(open_database):
    """Statements are compiled once per process, however often the ledger is opened."""
    one, two = open_database("one"), open_database("two")
    with one.reading() as connection:
        dialect = connection.dialect
        connection.execute(pauses.select())
        compiled = connection.get_execution_options()["compiled_cache"]
        known = len(compiled)
    with two.reading() as connection:
        connection.execute(pauses.select())
        assert connection.dialect is dialect
        assert connection.get_execution_options()["compiled_cache"] is compiled
    assert len(compiled) == known


def test_few_servers_are_remembered(monkeypatch, open_database):
    """A process that opens many databases keeps compiled statements only for the last ones."""
    monkeypatch.setattr(engines, "_shared", {})
    monkeypatch.setattr(engines, "_MAX_SHARED", 2)
    monkeypatch.setattr(engines, "_kind", lambda engine: engine.url)
    for number in range(4):
        open_database(f"ledger{number}")
    assert len(engines._shared) == 2
