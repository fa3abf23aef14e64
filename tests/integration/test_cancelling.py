"""Terminated runs: they stop ordering and waiting, say what continues, and leave it to the sensor."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import dagster as dg
import pytest
from code_location import QUIET, CodeLocation, running_location

from seedance_dagster.ledger import reports
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, QUIET]

SAID = "the run is being terminated: it orders nothing more and waits no longer"


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location with two prompts for each test, of which the vendor takes one at once."""
    prompts = {f"{name}{number}": f"{name} {number}" for name in ("cat", "dog", "fox") for number in (1, 2)}
    folder = tmp_path_factory.mktemp("cancelling")
    with running_location(folder, s3_server, prompts, render_seconds=1.0, plan_limit=1) as location:
        location.tick()
        yield location


def terminate(location: CodeLocation) -> None:
    """Terminate a run as Dagster's launcher does: mark it as canceling, then interrupt its process."""
    [run] = location.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    location.instance.report_run_canceling(run)
    os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def terminated_when(location: CodeLocation, ready: Callable[[], bool]) -> Iterator[None]:
    """Terminate the run of the block as soon as a condition holds."""

    def wait() -> None:
        while not ready():
            time.sleep(0.02)
        terminate(location)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    yield
    thread.join()


@contextmanager
def terminated_while_dagster_writes(location: CodeLocation, monkeypatch) -> Iterator[None]:
    """Terminate the run of the block while Dagster writes that a task was submitted."""
    write = dg.DagsterInstance.handle_new_event
    terminated = []

    def writing(self, event, **options):
        step_event = event.dagster_event
        if (
            not terminated
            and step_event is not None
            and step_event.event_type_value == "ASSET_MATERIALIZATION"
        ):
            state = step_event.step_materialization_data.materialization.metadata.get("seedance/state")
            if state is not None and state.value == "submitted":
                terminated.append(event)
                terminate(location)
        return write(self, event, **options)

    with monkeypatch.context() as patch:
        patch.setattr(dg.DagsterInstance, "handle_new_event", writing)
        yield
    assert terminated


def assert_nothing_is_held(location: CodeLocation) -> None:
    with location.ledger() as ledger:
        orders = ledger.queries.find()
        assert {order.lease_owner for order in orders} == {None}
        assert State.CLAIMED not in {order.state for order in orders}
        assert ledger.leases.owner_of("advance 1") is None


def assert_the_rest_is_stored(location: CodeLocation, *keys: str) -> None:
    """Check that runs of the sensor's job store every video, each paid for once."""
    with location.ledger() as ledger, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reports, "_REPORT_GRACE", timedelta(0))  # unreported orders are reported at once
        for _ in range(20):
            location.advance()
            orders = ledger.queries.find()
            if {order.state for order in orders} == {State.STORED} and not ledger.reports.unreported(9):
                break
        assert {order.state for order in orders} == {State.STORED}
    assert location.books()["most_tasks_of_one_prompt"] == 1
    assert all(location.history("videos", key) for key in keys)


def status(location: CodeLocation, done) -> dg.DagsterRunStatus:
    return location.instance.get_run_by_id(done.result.run_id).status


@pytest.mark.further
def test_a_terminated_waiting_run(location):
    """A run interrupted while it waits says so and releases its orders; the sensor's job goes on."""
    with terminated_when(location, lambda: location.books()["tasks"] == 1):
        done = location.run("cat1", "cat2")
    assert status(location, done) is dg.DagsterRunStatus.CANCELED
    assert SAID in done.log
    assert location.books()["tasks"] == 1
    assert_nothing_is_held(location)
    assert_the_rest_is_stored(location, "cat1", "cat2")


@pytest.mark.long
def test_a_run_terminated_while_dagster_writes(location, monkeypatch):
    """The step's work ends with the run, although Dagster never returns to it."""
    with terminated_while_dagster_writes(location, monkeypatch):
        done = location.run("dog1", "dog2")
    assert status(location, done) is dg.DagsterRunStatus.CANCELED
    assert SAID in done.log
    assert_nothing_is_held(location)


@pytest.mark.long
def test_a_terminated_run_of_the_sensor_s_job(location, monkeypatch):
    """A terminated run releases the job's lease too, so that the next run can start at once."""
    assert location.run("fox1", "fox2", assets=("tasks",)).success
    with terminated_while_dagster_writes(location, monkeypatch):
        done = location.advance()
    assert status(location, done) is dg.DagsterRunStatus.CANCELED
    assert SAID in done.log
    assert_nothing_is_held(location)
    assert_the_rest_is_stored(location, "dog1", "dog2", "fox1", "fox2")
