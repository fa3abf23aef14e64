"""The decision to start a run, as a table."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOW

from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.runtime.run_decision import RunDecision, decide_run
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.ledger.work.workload import Actionable

OPEN, CLOSED = Throttle(None), Throttle(0, ("paused",))


def work(**fields: object) -> Actionable:
    due = ("to_submit", "to_collect", "to_report", "to_poll")
    numbers = dict.fromkeys((*due, "in_flight", "uncertain", "queued", "finished"), 0)
    return Actionable(**numbers | {"waiting_since": None, "next_due_at": None} | fields)


def waited(seconds: float) -> dict[str, object]:
    return {"waiting_since": NOW - timedelta(seconds=seconds)}


@pytest.mark.parametrize(
    ("doing", "throttle", "submit", "worth"),
    [
        ({}, OPEN, 0, False),
        # alone: nobody at the vendor could bring company
        ({"to_submit": 1}, OPEN, 1, True),
        ({"to_collect": 1}, OPEN, 0, True),
        # a few wait for company, up to a minute, while others are at the vendor
        ({"to_collect": 3, "in_flight": 5}, OPEN, 0, False),
        ({"to_collect": 3, "in_flight": 5} | waited(59), OPEN, 0, False),
        ({"to_collect": 3, "in_flight": 5} | waited(60), OPEN, 0, True),
        ({"to_collect": 24, "in_flight": 5}, OPEN, 0, False),
        ({"to_collect": 25, "in_flight": 5}, OPEN, 0, True),
        ({"to_collect": 12, "to_submit": 13, "in_flight": 5}, OPEN, 13, True),
        # what was not reported to Dagster does not wait
        ({"to_report": 1, "in_flight": 5}, OPEN, 0, True),
        # only as many as there are places
        ({"to_submit": 100, "in_flight": 15}, Throttle(20), 5, False),
        ({"to_submit": 100, "in_flight": 15} | waited(60), Throttle(20), 5, True),
        ({"to_submit": 100, "in_flight": 20} | waited(999), Throttle(20), 0, False),
        ({"to_submit": 100, "in_flight": 21} | waited(999), Throttle(20), 0, False),
        ({"to_submit": 3}, Throttle(20), 3, True),
        # nothing may be sent: what is queued is no reason for a run, a video is
        ({"to_submit": 9} | waited(999), CLOSED, 0, False),
        ({"to_submit": 9, "to_collect": 1} | waited(999), CLOSED, 0, True),
        # polls and doubts are the sensor's own
        ({"to_poll": 500, "uncertain": 3, "in_flight": 503}, OPEN, 0, False),
        # a wait of something that cannot be done is no reason
        (waited(999), OPEN, 0, False),
    ],
)
def test_a_run_is_worth_it(doing, throttle, submit, worth):
    """A run starts for a batch, for work that has waited long, and for work that nothing else could join."""
    decision = decide_run(work(**doing), throttle=throttle, pacing=Pacing(), now=NOW)
    assert decision == RunDecision(submit, doing.get("to_collect", 0), doing.get("to_report", 0), int(worth))


@pytest.mark.parametrize(
    ("doing", "throttle", "runs"),
    [
        ({"to_collect": 49}, OPEN, 1),
        ({"to_collect": 50}, OPEN, 2),
        ({"to_collect": 30, "to_submit": 45}, OPEN, 3),
        # what has no slot needs no run, and one run alone reports
        ({"to_submit": 500, "in_flight": 0}, Throttle(20), 1),
        ({"to_report": 500}, OPEN, 1),
    ],
)
def test_a_lot_of_work_is_worth_several_runs(doing, throttle, runs):
    """Each further run has 25 orders of its own."""
    assert decide_run(work(**doing), throttle=throttle, pacing=Pacing(), now=NOW).runs == runs
