"""Reconciliation: what the account's balance proves for and against a task that is not listed."""

from __future__ import annotations

from pathlib import Path

import pytest
from reconcile_support import GRACE, benches, states, two_readings, why

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.ledger.order import State


@pytest.fixture
def on(tmp_path: Path, clock):
    with benches(tmp_path, clock) as make:
        yield make


@pytest.fixture
def it(on):
    return on()


def test_a_history_of_finished_tasks_only_frees_nothing_while_tasks_are_at_work(on, clock):
    """A lost task is adopted when it has finished; the balance speaks for it before."""
    it = on(history_lists_unfinished=False)
    it.lose("a cat")
    two_readings(it, clock)
    assert why(it) == ["0.4 USD left the account for no task that is known"]
    clock.forward(seconds=60)
    assert len(it.reconcile().adopted) == 1


def test_a_history_of_finished_tasks_only_frees_what_the_balance_clears(on, clock):
    """When no points are missing, two clean readings free the order."""
    it = on(history_lists_unfinished=False)
    it.lose("a cat", fault="500-before")
    two_readings(it, clock)
    assert states(it) == [State.QUEUED]


@pytest.mark.parametrize(("lists_unfinished", "state"), [(True, State.QUEUED), (False, State.UNCERTAIN)])
def test_without_a_balance_the_history_must_have_listed_an_unfinished_task(
    on, clock, lists_unfinished, state
):
    """An account that tells nothing leaves the history alone to prove an absence: it must be fit for it."""
    it = on(history_lists_unfinished=lists_unfinished)
    it.tell("outage", seconds=86_400, scope="account")
    it.lose("a cat", fault="500-before")
    it.stranger("somebody's dog")
    two_readings(it, clock)
    assert states(it) == [state]
    if state is State.UNCERTAIN:
        assert why(it) == [
            "the account's balance proves nothing, and the history never listed an unfinished task"
        ]


def test_a_payment_into_the_account_hides_no_task(on, clock):
    """More than there should be proves nothing: the order stays uncertain until the task is listed."""
    it = on(history_lists_unfinished=False)
    it.lose("a cat")
    it.tell("settings", points=20_000_000_000)
    clock.forward(seconds=30)
    it.reconcile()
    clock.forward(seconds=60)
    it.reconcile()
    assert why(it) == [
        "the account's balance proves nothing, and the history never listed an unfinished task"
    ]
    clock.forward(seconds=600)
    assert len(it.reconcile().adopted) == 1


@pytest.mark.parametrize("task_type", ["seedance-2-fast", "seedance-2"])
def test_tasks_of_other_programs_explain_a_drop_of_the_balance(it, clock, task_type):
    """What strangers took, by tasks of any type, is not missing; an order that never arrived is freed."""
    it.lose("a cat", fault="500-before")
    clock.forward(seconds=1)
    it.stranger("somebody's dog", task_type=task_type)
    two_readings(it, clock)
    assert states(it) == [State.QUEUED]


def test_a_drop_that_nothing_explains_keeps_an_order_uncertain(it, clock):
    """What another program took for something else cannot be told from a task that nobody found."""
    it.lose("a cat", fault="500-before")
    it.tell("settings", points=it.vendor.account.points - 2_000_000)
    two_readings(it, clock)
    assert why(it) == ["0.2 USD left the account for no task that is known"]


def test_a_hold_far_under_the_estimate_keeps_an_order_uncertain(it, clock):
    """Prices fall, and an estimate may be an upper bound: a share of it proves nothing."""
    it.lose("a cat", fault="500-before")
    it.tell("settings", points=it.vendor.account.points - 1_500_000)
    two_readings(it, clock)
    assert why(it) == ["0.15 USD left the account for no task that is known"]


def test_small_change_is_no_task(it, clock):
    """Less than a quarter of what its output alone should cost cannot be the order's task."""
    it.lose("a cat", fault="500-before")
    it.tell("settings", points=it.vendor.account.points - 999_999)
    two_readings(it, clock)
    assert states(it) == [State.QUEUED]


def test_what_was_adopted_just_now_explains_once(on, clock):
    """A task that is adopted in the same look does not stand for another one that is missing."""
    it = on(history_lag_seconds=1000)
    it.lose("a cat")
    clock.forward(seconds=500)
    it.lose("a dog")
    clock.forward(seconds=500)
    settled = it.reconcile()
    assert [order.partition for order in settled.adopted] == ["p0"]
    assert why(it) == ["0.4 USD left the account for no task that is known"]


def test_an_end_that_nobody_saw_puts_the_verdict_off(on, clock):
    """Points that came back unseen could hide those of a missing task: the next look decides."""
    it = on(history_lists_unfinished=False, history_lag_seconds=0)
    it.accept("a dog [fault:vendor-trouble]")
    it.submit()
    clock.forward(seconds=60)
    it.lose("a cat")
    clock.forward(seconds=600)
    [order] = it.reconcile().uncertain
    assert (order.state, order.absent_since) == (State.UNCERTAIN, clock())
    it.poll()
    clock.forward(seconds=1)
    [order] = it.reconcile(now=True).uncertain
    assert order.error_message == "0.4 USD left the account for no task that is known"
    clock.forward(seconds=60)
    assert len(it.reconcile().adopted) == 1


def test_while_a_post_is_on_its_way_the_verdict_is_put_off(it, clock):
    """The balance proves nothing then; the clean readings still count."""
    it.lose("a cat", fault="500-before")
    it.reconcile()
    it.accept("a dog")
    it.ledger.leases.acquire("other", "other", seconds=3600)
    [claimed] = it.ledger.claims.take("other", limit=1, max_in_flight=None)
    clock.forward(seconds=600)
    [order] = it.reconcile().uncertain
    assert clock() - order.absent_since == GRACE
    it.ledger.claims.requeue(claimed, actor="other", due_at=clock(), reason="429")
    clock.forward(seconds=60)
    assert len(it.reconcile().freed) == 1


def test_orders_that_move_while_the_balance_is_read_put_the_verdict_off(it, clock, monkeypatch):
    """A task that is recorded during the reading explains nothing and hides nothing."""
    it.lose("a cat", fault="500-before")
    it.reconcile()
    clock.forward(seconds=600)
    account = SeedanceClient.account

    async def meanwhile(self):
        told = await account(self)
        [order] = it.accept("a dog")
        [claimed] = it.ledger.claims.take("x", limit=1, max_in_flight=None, only=[order.order_id])
        it.ledger.claims.requeue(claimed, actor="x", due_at=clock(), reason="429")
        return told

    with monkeypatch.context() as patch:
        patch.setattr(SeedanceClient, "account", meanwhile)
        assert len(it.reconcile(now=True).uncertain) == 1
    assert len(it.reconcile(now=True).freed) == 1
