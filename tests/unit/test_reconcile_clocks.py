"""Reconciliation under wrong or jumping clocks: a task that exists is never taken for absent."""

from __future__ import annotations

from datetime import timedelta

import pytest

from seedance_dagster.engine.reconcile import history
from seedance_dagster.ledger.order import State


@pytest.mark.parametrize("ahead", [-20, -3, 3, 20])
def test_a_clock_that_is_wrong_by_hours_requeues_nothing(engine, clock, ahead):
    """A task that the vendor's clock puts hours before or after the order is ambiguous, not absent."""
    engine.vendor.clock = lambda: clock() - timedelta(hours=ahead)
    engine.control("outage", seconds=86_400, scope="account")
    engine.ledger.observations.remember({history.LISTS_UNFINISHED: 1})
    engine.lose("a cat")
    result = engine.reconcile()
    if ahead > 0:
        assert result.adopted == ()
        engine.reconcile_twice()
        assert engine.states() == [State.UNCERTAIN]
        assert "was made before the order" in engine.doubts()[0]
    else:
        assert len(result.adopted) == 1


@pytest.mark.parametrize("hours", [-20, -3, 3, 20])
def test_a_clock_that_jumps_after_the_post_requeues_nothing(engine, clock, hours):
    """The task is found when the clock was put forward and when it was put back."""
    engine.lose("a cat")
    vendor_time, started = clock(), clock() + timedelta(hours=hours)
    engine.vendor.clock = lambda: vendor_time + (clock() - started)
    clock.now = started
    assert len(engine.reconcile().adopted) == 1


def test_a_clock_that_is_put_back_between_scans_restarts_the_grace_period(engine, clock):
    """A first scan in the future does not count."""
    engine.lose("a cat", fault="500-before")
    clock.forward(hours=5)
    engine.reconcile()
    clock.forward(hours=-5)
    [order] = engine.reconcile().uncertain
    assert order.absent_since == clock()
    clock.forward(seconds=600)
    assert len(engine.reconcile().requeued) == 1
