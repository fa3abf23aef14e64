"""Reconciliation under clocks that are wrong or jump: a task that was made is never taken for absent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from bench_support import bench
from reconcile_support import states, two_readings, why

from seedance_dagster.engine.reconcile import history
from seedance_dagster.ledger.order import State


@pytest.fixture
def it(tmp_path: Path, clock):
    with bench(tmp_path, clock) as made:
        yield made


@pytest.mark.parametrize("ahead", [-20, -3, 3, 20])
def test_a_clock_that_is_wrong_by_hours_frees_nothing(it, clock, ahead):
    """A task that the vendor's clock puts hours before or after the order is doubtful, not absent."""
    it.vendor.clock = lambda: clock() - timedelta(hours=ahead)
    it.tell("outage", seconds=86_400, scope="account")
    it.ledger.observations.remember({history.LISTS_UNFINISHED: 1})
    it.lose("a cat")
    settled = it.reconcile()
    if ahead > 0:
        assert settled.adopted == ()
        two_readings(it, clock)
        assert states(it) == [State.UNCERTAIN]
        assert "was made before the order" in why(it)[0]
    else:
        assert len(settled.adopted) == 1


@pytest.mark.parametrize("hours", [-20, -3, 3, 20])
def test_a_clock_that_jumps_after_the_post_frees_nothing(it, clock, hours):
    """Whether it was put forwards or back, the task is found."""
    it.lose("a cat")
    vendor_time, started = clock(), clock() + timedelta(hours=hours)
    it.vendor.clock = lambda: vendor_time + (clock() - started)
    clock.now = started
    assert len(it.reconcile().adopted) == 1


def test_a_clock_that_is_put_back_between_the_readings_starts_the_grace_anew(it, clock):
    """A first reading that lies in the future is none."""
    it.lose("a cat", fault="500-before")
    clock.forward(hours=5)
    it.reconcile()
    clock.forward(hours=-5)
    [order] = it.reconcile().uncertain
    assert order.absent_since == clock()
    clock.forward(seconds=600)
    assert len(it.reconcile().freed) == 1
