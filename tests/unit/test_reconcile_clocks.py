"""Reconciliation under wrong or jumping clocks: a task that exists is never taken for absent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOW, make_order
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.engine.reconcile.clocks import UNKNOWN, clock_offset, post_window
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.reconciliation import AnsweredTask

seconds = st.integers(0, 300).map(lambda number: timedelta(seconds=number))
near = st.floats(-7200, 7200, allow_nan=False).map(lambda number: timedelta(seconds=number))


def answered(sent_at, offset, before, after) -> AnsweredTask:
    """Return a task that was made some time after its POST left and before its reply came."""
    return AnsweredTask(sent_at, sent_at + before + after, sent_at + before + offset)


@given(st.lists(st.tuples(near, seconds, seconds), max_size=30), near, near)
def test_the_offset_of_the_clocks_lies_within_what_is_known(tasks, offset, at):
    """Whatever tasks are known, a task of an order lies in its window; more tasks make it no wider."""
    known = sorted(
        (answered(NOW + when, offset, before, after) for when, before, after in tasks),
        key=lambda task: task.sent_at,
    )
    seen = clock_offset(known, NOW + at)
    assert seen.known is bool(known)
    if known:
        assert seen.least <= offset <= seen.most
        first = clock_offset(known[:1], NOW + at)
        assert seen.most - seen.least <= max(first.most - first.least, timedelta(seconds=604))
        order = make_order(sent_at=NOW + at, lost_at=NOW + at + timedelta(seconds=30))
        window = post_window(order, seen, NOW + timedelta(days=1))
        assert window.contains(NOW + at + timedelta(seconds=10) + offset)
    else:
        assert -seen.least == seen.most >= UNKNOWN


def test_a_clock_that_was_set_ends_the_search(clock):
    """Tasks from before the clock was set, or from days ago, do not show the present offset."""
    old = [
        answered(NOW - timedelta(minutes=number), timedelta(hours=3), *[timedelta(0)] * 2)
        for number in (9, 8)
    ]
    new = answered(NOW, timedelta(0), timedelta(seconds=1), timedelta(seconds=1))
    seen = clock_offset([*old, new], NOW + timedelta(minutes=1))
    assert (seen.least, seen.most) == (timedelta(seconds=-3), timedelta(seconds=3))
    assert clock_offset([*old, new], NOW + timedelta(days=2)).known is False


@pytest.mark.parametrize("ahead", [-20, -3, 3, 20])
@pytest.mark.parametrize("seen", [True, False])
def test_a_clock_that_is_wrong_by_hours_requeues_nothing(start_engine, clock, ahead, seen):
    """Known tasks show the difference; without them the task is in doubt, not absent."""
    engine = start_engine()
    engine.vendor.clock = lambda: clock() - timedelta(hours=ahead)
    if seen:
        engine.know()
        clock.forward(seconds=60)
    engine.lose("a cat")
    result = engine.reconcile()
    if seen:
        assert len(result.adopted) == 1
        return
    assert result.adopted == ()
    for _ in range(3):
        clock.forward(hours=13)
        engine.create_out_of_band("another dog")
        engine.reconcile()
        assert engine.states() == [State.UNCERTAIN]
    [task_id] = list(engine.vendor.tasks)[:1]
    assert task_id in engine.doubts()[0]


@pytest.mark.parametrize("hours", [-20, -3, 3, 20])
def test_a_clock_that_jumps_after_the_post_requeues_nothing(engine, clock, hours):
    """The task is found when the clock was put forward and when it was put back."""
    engine.lose("a cat")
    vendor_time, started = clock(), clock() + timedelta(hours=hours)
    engine.vendor.clock = lambda: vendor_time + (clock() - started)
    clock.now = started
    assert len(engine.reconcile().adopted) == 1


def test_a_clock_that_is_put_back_between_scans_restarts_the_grace_period(known, clock):
    """A first scan in the future does not count."""
    engine = known
    [order] = engine.lose("a cat", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
    later = clock() + timedelta(hours=5)
    engine.ledger.reconciliation.note_absence(order, due_at=clock(), since=later, reason="absent")
    [order] = engine.reconcile(now=True).uncertain
    assert order.absent_since == clock()
    clock.forward(seconds=600)
    assert len(engine.reconcile().requeued) == 1
