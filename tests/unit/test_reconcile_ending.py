"""Ending by hand what nothing else ends: money stays booked, slots come free."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import POINTS

from seedance_dagster.engine.reconcile.ending import end_by_hand
from seedance_dagster.engine.reconcile.manual import ManualResolutionError
from seedance_dagster.health import stuck_reason, unknown_charge_reason
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import State
from seedance_dagster.money import Window

ALL_TIME = Budget(window=Window.TOTAL, points=100 * POINTS)


def end(engine, order, charged_points=None):
    return engine.work(
        lambda worker: end_by_hand(worker, order, charged_points=charged_points), "operator ada"
    )


def test_a_task_that_the_vendor_never_shows_again_is_ended(engine, clock):
    """Its slot comes free, and its hold counts as spent (case m29)."""
    engine.place("a cat")
    [order] = engine.submit()
    engine.vendor.tasks.clear()
    clock.forward(seconds=700)
    engine.poll()
    [order] = engine.read(order)
    reason = stuck_reason(order, now=clock(), stale_after=timedelta(hours=12))
    assert f"`seedance-dagster reconcile {order.order_id} --end` gives it up" in reason
    ended = end(engine, order)
    assert (ended.state, ended.error_class, ended.points_charged) == (State.FAILED, "ended_by_hand", POINTS)
    assert engine.ledger.workload.in_flight() == 0
    [usage] = engine.ledger.budgets.usage([ALL_TIME])
    assert (usage.reserved, usage.spent) == (0, POINTS)


def test_a_video_that_is_gone_is_ended_with_what_it_cost(engine, clock):
    """The vendor's charge stays booked."""
    order = engine.orders.make(State.SUCCEEDED, "cat", charged=POINTS // 2)
    for _ in range(5):
        order = engine.ledger.tasks.transfer_failed(order, actor="w", due_at=clock(), reason="gone")
    assert "--end" in stuck_reason(order, now=clock(), stale_after=timedelta(hours=12))
    ended = end(engine, order)
    assert (ended.state, ended.points_charged) == (State.FAILED, POINTS // 2)
    assert "it was succeeded: gone" in ended.error_message


@pytest.mark.parametrize("state", [State.STORED, State.REJECTED, State.FAILED])
def test_a_charge_that_the_vendor_never_reported_is_booked(engine, state):
    """It counts as the hold until then, and the order stays as it ended."""
    order = engine.orders.make(state, "cat", charged=None)
    assert "it counts as 0.40 USD, until `seedance-dagster reconcile 1 --end" in unknown_charge_reason(order)
    booked = end(engine, order, 1_000_000)
    assert (booked.state, booked.points_charged) == (state, 1_000_000)
    assert unknown_charge_reason(booked) is None
    last = engine.ledger.queries.journal(order.order_id)[-1]
    assert (last.actor, last.detail) == ("operator ada", {"points_charged": 1_000_000})


def test_a_charge_that_a_person_got_wrong_is_corrected(engine):
    """An amount in cents would use up every budget, and nothing else could take it back."""
    order = engine.orders.make(State.UNCERTAIN, "cat")
    wrong = end(engine, order, 240_000_000)
    with pytest.raises(ManualResolutionError, match=r"was ended by hand as 24\.00 USD before: --charged USD"):
        end(engine, wrong)
    right = end(engine, wrong, 2_400_000)
    assert (right.state, right.points_charged) == (State.FAILED, 2_400_000)
    assert right.error_message.startswith("ended by hand as 0.24 USD, it was uncertain")
    [usage] = engine.ledger.budgets.usage([ALL_TIME])
    assert (usage.reserved, usage.spent) == (0, 2_400_000)


@pytest.mark.parametrize("state", [State.QUEUED, State.CLAIMED, State.STORED, State.REJECTED])
def test_an_order_that_moves_on_or_has_ended_is_not_ended(engine, state):
    """The message says what can be."""
    order = engine.orders.make(state, "cat")
    with pytest.raises(ManualResolutionError, match=f"is {state}; only orders that are submitted, succeeded"):
        end(engine, order)
    assert engine.read(order) == [order]
