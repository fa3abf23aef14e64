"""Reconciliation: the vendor's history resolves a lost reply, and weak evidence requeues nothing."""

from __future__ import annotations

import asyncio

import pytest
from factories import POINTS

from seedance_dagster.engine.reconcile import history
from seedance_dagster.engine.reconcile.reconcile import reconcile
from seedance_dagster.engine.worker import working
from seedance_dagster.ledger.order import State


def test_a_task_that_was_made_is_adopted_with_the_vendor_s_own_time(engine, clock):
    """The order gets the task with the vendor's creation time, and is polled at once."""
    [order] = engine.lose("a cat")
    made_at = clock()
    clock.forward(seconds=90)
    result = engine.reconcile()
    [adopted] = result.adopted
    assert (result.requeued, result.uncertain) == ((), ())
    [task_id] = engine.vendor.tasks
    assert (adopted.state, adopted.task_id) == (State.SUBMITTED, task_id)
    assert (adopted.vendor_created_at, adopted.due_at, adopted.points_held) == (made_at, clock(), POINTS)
    last = engine.ledger.queries.journal(order.order_id)[-1]
    assert (last.actor, last.detail) == ("w", {"task_id": task_id, "how": "adopted"})


@pytest.mark.parametrize(("orders", "tasks"), [(3, 3), (3, 2), (3, 0), (1, 1)])
def test_identical_orders_match_identical_tasks_one_to_one(engine, orders, tasks):
    """As many orders are adopted as there are tasks, one each; the others wait."""
    engine.lose(*["a cat"] * tasks)
    engine.lose(*["a cat"] * (orders - tasks), fault="500-before")
    result = engine.reconcile()
    assert (len(result.adopted), len(result.requeued), len(result.uncertain)) == (tasks, 0, orders - tasks)
    assert {order.task_id for order in result.adopted} == set(engine.vendor.tasks)


def test_an_order_without_a_task_is_requeued_after_two_complete_scans(engine, clock):
    """An order is not requeued before the grace period is over, however often it is reconciled."""
    [order] = engine.lose("a cat", fault="500-before")
    for seconds in (0, 60, 300, 239):
        clock.forward(seconds=seconds)
        assert engine.reconcile(now=True).requeued == ()
    clock.forward(seconds=1)
    [requeued] = engine.reconcile(now=True).requeued
    assert (requeued.state, requeued.attempt, requeued.absent_since) == (State.QUEUED, 1, None)
    assert engine.ledger.queries.journal(order.order_id)[-1].detail == {
        "reason": "no task was made: the history was read twice without it"
    }
    [again] = engine.submit()
    assert again.state is State.SUBMITTED
    assert len(engine.vendor.tasks) == 1


def test_the_grace_period_can_be_set(engine, clock):
    """The grace period is part of the policy."""
    engine.set_policy(grace_s=30)
    engine.lose("a cat", fault="500-before")
    engine.reconcile()
    clock.forward(seconds=29)
    assert engine.reconcile(now=True).requeued == ()
    clock.forward(seconds=1)
    assert len(engine.reconcile(now=True).requeued) == 1


def test_an_order_is_reconciled_once_a_minute(engine, clock):
    """The history is read when an order is due, or at once on request."""
    engine.lose("a cat", fault="500-before")
    assert len(engine.reconcile().uncertain) == 1
    clock.forward(seconds=59)
    assert engine.reconcile().uncertain == ()
    assert len(engine.reconcile(now=True).uncertain) == 1
    clock.forward(seconds=60)
    assert len(engine.reconcile().uncertain) == 1


def test_without_uncertain_orders_nothing_is_read(engine):
    """Without uncertain orders the history is not read."""
    engine.place("a cat")
    assert engine.reconcile(now=True).uncertain == ()
    assert engine.app.state.emulator.traffic.calls["history"] == 0


def test_an_unreadable_history_requeues_nothing_and_restarts_the_grace_period(engine, clock):
    """The order has the reason, and earlier complete scans no longer count."""
    engine.lose("a cat", fault="500-before")
    engine.reconcile()
    clock.forward(seconds=590)
    engine.control("faults", **{"history-500": 1.0})
    [order] = engine.reconcile().uncertain
    assert order.absent_since is None
    assert order.error_message.startswith("the vendor's history cannot be read: ")
    engine.control("faults")
    clock.forward(seconds=60)
    engine.reconcile()
    clock.forward(seconds=599)
    assert engine.reconcile(now=True).requeued == ()
    clock.forward(seconds=1)
    assert len(engine.reconcile(now=True).requeued) == 1


def test_a_task_that_turns_up_after_its_order_was_requeued_is_adopted(start_engine, clock):
    """The window begins when the order was placed: a first task that was listed late is not lost."""
    engine = start_engine(history_lag_seconds=3000)
    # Another's task shows that the history lists what is at work, and the account tells nothing.
    engine.create_out_of_band("another dog")
    clock.forward(seconds=3000)
    engine.control("settings", history_lag_seconds=0)
    engine.create_out_of_band("another cat")
    engine.control("outage", seconds=86_400, scope="account")
    [order] = engine.lose("a cat", fault="500-after")
    engine.control("settings", history_lag_seconds=3000)
    first = list(engine.vendor.tasks)[-1]
    engine.ledger.observations.remember({history.LISTS_UNFINISHED: 1})
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]
    engine.control("faults", **{"500-before": 1.0})
    engine.submit()
    engine.control("faults")
    assert engine.states() == [State.UNCERTAIN]
    clock.forward(seconds=2400)
    [adopted] = engine.reconcile().adopted
    assert (adopted.order_id, adopted.task_id) == (order.order_id, first)
    assert adopted.vendor_created_at < adopted.claimed_at


def test_two_workers_at_once_resolve_each_order_once(engine, clock):
    """One worker adopts or requeues the order, and the other leaves it alone."""
    lost = engine.lose(*["a cat"] * 5)
    never = engine.lose(*["a dog"] * 5, fault="500-before")

    async def both() -> None:
        async def one(name: str) -> None:
            async with working(engine.services, name) as worker:
                await reconcile(worker, now=True)

        await asyncio.gather(*(one(f"w{number}") for number in range(4)))

    asyncio.run(both())
    clock.forward(seconds=600)
    asyncio.run(both())
    for order in lost:
        assert engine.steps_of(order) == ["queued", "claimed", "uncertain", "submitted"]
    for order in never:
        assert engine.steps_of(order) == ["queued", "claimed", "uncertain", "queued"]
    assert len({order.task_id for order in engine.read(*lost)}) == 5


def test_a_scan_from_before_a_later_claim_does_not_apply_to_it(engine, clock):
    """A slow worker neither requeues nor notes anything for an order that was sent again meanwhile."""
    from seedance_dagster.ledger.errors import StaleOrderError

    [old] = engine.lose("a cat", fault="500-before")
    engine.ledger.claims.requeue(old, actor="other", due_at=clock(), reason="requeued by hand")
    clock.forward(seconds=5)
    engine.control("faults", **{"500-after": 1.0})
    engine.submit()
    [new] = engine.read(old)
    assert new.state is State.UNCERTAIN
    engine.ledger.reconciliation.note_absence(old, due_at=clock(), since=old.claimed_at)
    assert engine.read(old)[0].absent_since is None
    with pytest.raises(StaleOrderError):
        engine.ledger.claims.requeue(old, actor="slow", due_at=clock(), reason="absent twice")


def test_lost_replies_of_killed_workers_are_reconciled_too(engine, clock):
    """A claim whose worker is gone becomes uncertain, and is adopted or requeued like any other."""
    engine.place("a cat")
    engine.ledger.claims.take("dead", limit=1, max_in_flight=None)
    engine.create_out_of_band("a cat")  # what the dead worker's POST made
    clock.forward(seconds=61)
    engine.ledger.claims.expire(actor="w")
    assert len(engine.reconcile().adopted) == 1
