"""Reconciliation with a history whose times are not those of the tasks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from seedance_dagster.ledger.order import State

TIMES = {
    "a date alone": lambda at: f"{at:%Y-%m-%d}",
    "a placeholder": lambda _: "2000-01-01T00:00:00Z",
    "local time without its zone": lambda at: f"{at - timedelta(hours=7):%Y-%m-%d %H:%M:%S}",
}


@pytest.fixture(params=TIMES)
def misdated(request, monkeypatch, start_known):
    """An engine whose vendor dates the rows of its history otherwise than the tasks."""
    row_time = TIMES[request.param]
    monkeypatch.setattr("seedance_dagster.emulator.history.wire_time", lambda at, _: at and row_time(at))
    return start_known()


def test_a_lost_task_is_adopted_whatever_time_the_history_gives_it(misdated):
    """It is read, although its row looks far too old to be the order's, and never paid for twice."""
    misdated.lose("a cat")
    misdated.reconcile_twice()
    assert misdated.states() == [State.SUCCEEDED]
    assert [task.request["input"]["prompt"] for task in misdated.vendor.tasks.values()].count("a cat") == 1


@pytest.mark.sampled(3)
def test_times_that_are_not_the_tasks_prove_nothing(misdated, clock):
    """Nothing is requeued by them, and the reason names a task that shows it."""
    misdated.lose("a cat", fault="500-before")
    for _ in range(4):
        misdated.reconcile_twice()
        clock.forward(hours=9)
    [doubt] = misdated.doubts()
    assert doubt.startswith("the history dates task ")
    assert doubt.endswith(" otherwise than the task itself: its times prove nothing")
