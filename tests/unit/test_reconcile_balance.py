"""Reconciliation: the account's balance can contradict the absence of a task, and never proves it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.ledger.order import State

LATE = {"history_lag_seconds": 900, "render_seconds": 10_000}


def test_a_history_of_finished_tasks_only_proves_nothing_while_a_task_may_run(start_known, clock):
    """Neither the balance nor two scans requeue the order; when the longest time is over, they do."""
    engine = start_known(history_lists_unfinished=False)
    engine.lose("a cat", fault="500-before")
    engine.reconcile_twice()
    assert engine.doubts()[0].startswith("the history never listed an unfinished task, so")
    clock.forward(hours=13)
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("points", [4_000_000, 20_000_000_000, 0])
def test_no_payment_and_no_refund_proves_an_absence(start_known, clock, points):
    """A balance that rises as a task is held, by a refund or a payment, hides a task that is not listed."""
    engine = start_known(history_lists_unfinished=False)
    engine.lose("a cat")
    engine.control("settings", points=engine.vendor.account.points + points)
    for _ in range(3):
        engine.reconcile_twice()
        if engine.states() == [State.SUBMITTED]:
            break
        assert engine.states() == [State.UNCERTAIN]
    assert len(engine.vendor.tasks_by_prompt) == 2
    assert engine.vendor.tasks_by_prompt["a cat"] == 1


def test_a_late_history_requeues_nothing_whatever_the_balance_says(start_known, clock):
    """Until a task of later is listed, an absence is not proved; the balance contradicts it besides."""
    engine = start_known(**LATE)
    engine.lose("a cat")
    engine.control("settings", points=engine.vendor.account.points + 4_000_000)
    engine.reconcile_twice()
    assert engine.states() == [State.UNCERTAIN]
    clock.forward(seconds=600)
    assert len(engine.reconcile().adopted) == 1


def test_without_a_balance_the_history_decides(known, clock):
    """An account that does not report its balance contradicts nothing."""
    engine = known
    engine.control("outage", seconds=86_400, scope="account")
    engine.lose("a cat", fault="500-before")
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]


@pytest.mark.parametrize("task_type", ["seedance-2-fast", "seedance-2"])
def test_tasks_of_other_programs_explain_a_drop_of_the_balance(known, clock, task_type):
    """Points of unmatched tasks, of any type, are not missing; an order without a task is requeued."""
    engine = known
    engine.create_out_of_band("another program at work", task_type=task_type)
    clock.forward(seconds=900)
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=1)
    engine.create_out_of_band("another dog", task_type=task_type)
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]


def test_the_only_unknown_task_of_an_account_may_be_the_order_s_with_another_text(known, clock):
    """A task that differs in nothing but its text is a doubt if nobody else uses the account."""
    engine = known
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=1)
    engine.create_out_of_band("one feline, cinematic light")
    engine.reconcile_twice()
    assert engine.states() == [State.UNCERTAIN]


@pytest.mark.parametrize(("points", "usd"), [(2_000_000, "0.20"), (1_500_000, "0.15")])
def test_a_drop_that_nothing_explains_keeps_an_order_uncertain(known, clock, points, usd):
    """Points that another program took otherwise may be those of a task that was not found."""
    engine = known
    engine.lose("a cat", fault="500-before")
    engine.control("settings", points=engine.vendor.account.points - points)
    engine.reconcile_twice()
    assert engine.doubts() == [f"{usd} USD left the account for no task that is known"]


def test_a_small_difference_is_not_a_task(known, clock):
    """Less than a quarter of the cost of its output alone cannot be the order's task."""
    engine = known
    engine.lose("a cat", fault="500-before")
    engine.control("settings", points=engine.vendor.account.points - 999_999)
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]


def test_an_unseen_end_postpones_the_decision(known, clock):
    """Points that came back unseen could hide those of a missing task: the next scan decides."""
    engine = known
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
    engine.reconcile(now=True)
    clock.forward(seconds=700)
    [order] = engine.reconcile(now=True).uncertain
    assert order.absent_since == clock() - timedelta(seconds=700)
    engine.poll()
    assert len(engine.reconcile(now=True).requeued) == 1


def test_a_post_under_way_postpones_the_decision(known, clock):
    """The balance says nothing then; complete scans still count."""
    engine = known
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
    engine.reconcile()
    engine.place("a dog")
    [claimed] = engine.ledger.claims.take("other", limit=1, max_in_flight=None, lease_s=3600)
    clock.forward(seconds=600)
    [order] = engine.reconcile().uncertain
    assert clock() - order.absent_since == timedelta(minutes=10)
    engine.ledger.claims.requeue(claimed, actor="other", due_at=clock(), reason="429")
    clock.forward(seconds=30)
    assert len(engine.reconcile(now=True).requeued) == 1


def test_orders_that_move_while_the_balance_is_read_postpone_the_decision(known, clock, monkeypatch):
    """A task that is recorded while the balance is read explains nothing and hides nothing."""
    engine = known
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
    engine.reconcile()
    clock.forward(seconds=600)
    account = SeedanceClient.account

    async def meanwhile(self):
        info = await account(self)
        [order] = engine.place("a dog")
        [claimed] = engine.ledger.claims.take("x", limit=1, max_in_flight=None, only=[order.order_id])
        engine.ledger.claims.requeue(claimed, actor="x", due_at=clock(), reason="429")
        return info

    with monkeypatch.context() as patch:
        patch.setattr(SeedanceClient, "account", meanwhile)
        assert len(engine.reconcile(now=True).uncertain) == 1
    assert len(engine.reconcile(now=True).requeued) == 1
