"""Reconciliation: what the account's balance proves for and against a task that is not listed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.ledger.order import State


def test_a_history_of_finished_tasks_only_requeues_nothing_while_tasks_run(start_engine, clock):
    """A lost task is adopted when it has finished; until then the balance shows that it exists."""
    engine = start_engine(history_lists_unfinished=False)
    engine.lose("a cat")
    engine.reconcile_twice()
    assert engine.doubts() == ["0.4 USD left the account for no task that is known"]
    clock.forward(seconds=60)
    assert len(engine.reconcile().adopted) == 1


def test_a_history_of_finished_tasks_only_requeues_what_the_balance_clears(start_engine, clock):
    """When no points are missing, two complete scans requeue the order."""
    engine = start_engine(history_lists_unfinished=False)
    engine.lose("a cat", fault="500-before")
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]


@pytest.mark.parametrize(("lists_unfinished", "state"), [(True, State.QUEUED), (False, State.UNCERTAIN)])
def test_without_a_balance_the_history_must_have_listed_an_unfinished_task(
    start_engine, clock, lists_unfinished, state
):
    """Without a balance the history alone must prove an absence: it must have listed unfinished tasks."""
    engine = start_engine(history_lists_unfinished=lists_unfinished)
    engine.control("outage", seconds=86_400, scope="account")
    engine.lose("a cat", fault="500-before")
    engine.create_out_of_band("another dog")
    engine.reconcile_twice()
    assert engine.states() == [state]
    if state is State.UNCERTAIN:
        assert engine.doubts() == [
            "the account's balance proves nothing, and the history never listed an unfinished task"
        ]


def test_a_payment_into_the_account_hides_no_task(start_engine, clock):
    """A balance that is too high proves nothing: the order stays uncertain until the task is listed."""
    engine = start_engine(history_lists_unfinished=False)
    engine.lose("a cat")
    engine.control("settings", points=20_000_000_000)
    clock.forward(seconds=30)
    engine.reconcile()
    clock.forward(seconds=60)
    engine.reconcile()
    assert engine.doubts() == [
        "the account's balance proves nothing, and the history never listed an unfinished task"
    ]
    clock.forward(seconds=600)
    assert len(engine.reconcile().adopted) == 1


@pytest.mark.parametrize("task_type", ["seedance-2-fast", "seedance-2"])
def test_tasks_of_other_programs_explain_a_drop_of_the_balance(engine, clock, task_type):
    """Points of unmatched tasks, of any type, are not missing; an order without a task is requeued."""
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=1)
    engine.create_out_of_band("another dog", task_type=task_type)
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]


def test_a_drop_that_nothing_explains_keeps_an_order_uncertain(engine, clock):
    """Points that another program took otherwise may be those of a task that was not found."""
    engine.lose("a cat", fault="500-before")
    engine.control("settings", points=engine.vendor.account.points - 2_000_000)
    engine.reconcile_twice()
    assert engine.doubts() == ["0.2 USD left the account for no task that is known"]


def test_a_hold_far_under_the_estimate_keeps_an_order_uncertain(engine, clock):
    """Prices may fall, and an estimate may be an upper bound: a share of it proves nothing."""
    engine.lose("a cat", fault="500-before")
    engine.control("settings", points=engine.vendor.account.points - 1_500_000)
    engine.reconcile_twice()
    assert engine.doubts() == ["0.15 USD left the account for no task that is known"]


def test_a_small_difference_is_not_a_task(engine, clock):
    """Less than a quarter of the cost of its output alone cannot be the order's task."""
    engine.lose("a cat", fault="500-before")
    engine.control("settings", points=engine.vendor.account.points - 999_999)
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]


def test_a_task_adopted_just_now_explains_its_points_once(start_engine, clock):
    """A task that the same scan adopted does not explain another one that is missing."""
    engine = start_engine(history_lag_seconds=1000)
    engine.lose("a cat")
    clock.forward(seconds=500)
    engine.lose("a dog")
    clock.forward(seconds=500)
    result = engine.reconcile()
    assert [order.partition for order in result.adopted] == ["p0"]
    assert engine.doubts() == ["0.4 USD left the account for no task that is known"]


def test_an_unseen_end_postpones_the_decision(start_engine, clock):
    """Points that came back unseen could hide those of a missing task: the next scan decides."""
    engine = start_engine(history_lists_unfinished=False, history_lag_seconds=0)
    engine.place("a dog [fault:vendor-trouble]")
    engine.submit()
    clock.forward(seconds=60)
    engine.lose("a cat")
    clock.forward(seconds=600)
    [order] = engine.reconcile().uncertain
    assert (order.state, order.absent_since) == (State.UNCERTAIN, clock())
    engine.poll()
    clock.forward(seconds=1)
    [order] = engine.reconcile(now=True).uncertain
    assert order.error_message == "0.4 USD left the account for no task that is known"
    clock.forward(seconds=60)
    assert len(engine.reconcile().adopted) == 1


def test_a_post_under_way_postpones_the_decision(engine, clock):
    """The balance proves nothing then; complete scans still count."""
    engine.lose("a cat", fault="500-before")
    engine.reconcile()
    engine.place("a dog")
    [claimed] = engine.ledger.claims.take("other", limit=1, max_in_flight=None)
    clock.forward(seconds=600)
    [order] = engine.reconcile().uncertain
    assert clock() - order.absent_since == timedelta(minutes=10)
    engine.ledger.claims.requeue(claimed, actor="other", due_at=clock(), reason="429")
    clock.forward(seconds=60)
    assert len(engine.reconcile().requeued) == 1


def test_orders_that_move_while_the_balance_is_read_postpone_the_decision(engine, clock, monkeypatch):
    """A task that is recorded while the balance is read explains nothing and hides nothing."""
    engine.lose("a cat", fault="500-before")
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
