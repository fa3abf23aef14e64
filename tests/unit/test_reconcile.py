"""Reconciliation: the vendor's history resolves a lost reply, and weak evidence requeues nothing."""

from __future__ import annotations

import asyncio

import pytest
from factories import POINTS

from seedance_dagster.engine.reconcile import reconcile as reconciliation
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


def test_an_order_that_was_answered_with_another_task_is_never_requeued(known, clock):
    """If the vendor altered its echo, that task is the order's, and sending it again would pay twice."""
    engine = known
    [order] = engine.place("a cat")
    [claimed] = engine.ledger.claims.take("w", limit=1, max_in_flight=None)
    engine.ledger.claims.mark_sent(claimed, account=engine.account_name)
    claimed = engine.ledger.queries.get(order.order_id)
    engine.ledger.claims.mark_uncertain(claimed, actor="w", reason="task t", error_class="foreign_reply")
    clock.forward(seconds=5)
    for _ in range(4):
        assert engine.reconcile_twice().requeued == ()
    assert "echoes another request" in engine.doubts()[0]


def test_an_order_without_a_task_is_requeued_after_two_complete_scans(known, clock):
    """An order is not requeued before the grace period is over, however often it is reconciled."""
    engine = known
    [order] = engine.lose("a cat", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
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
    assert engine.vendor.tasks_by_prompt["a cat"] == 1


def test_the_grace_period_can_be_set(known, clock):
    """The grace period is part of the policy."""
    engine = known
    engine.set_policy(grace_s=30)
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
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


def test_an_unreadable_history_requeues_nothing_and_restarts_the_grace_period(known, clock):
    """The order has the reason, and earlier complete scans no longer count."""
    engine = known
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
    engine.reconcile()
    clock.forward(seconds=590)
    engine.control("faults", **{"history-500": 1.0})
    [order] = engine.reconcile().uncertain
    assert order.absent_since is None
    assert order.error_message.startswith("the vendor's history cannot be read: ")
    engine.control("faults")
    clock.forward(seconds=60)
    engine.reconcile()
    engine.poll()
    clock.forward(seconds=599)
    engine.poll()
    assert engine.reconcile(now=True).requeued == ()
    clock.forward(seconds=1)
    assert len(engine.reconcile(now=True).requeued) == 1


def test_a_doubt_of_another_worker_outweighs_two_scans(known, clock, monkeypatch):
    """The second scan must have begun after the last doubt, whoever had it."""
    engine = known
    [order] = engine.lose("a cat", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
    engine.reconcile(now=True)
    clock.forward(seconds=600)
    resolve = reconciliation.read_balance

    async def doubting(worker, *rest):
        engine.ledger.reconciliation.note_doubt(order, due_at=clock(), reason="a doubt")
        return await resolve(worker, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(reconciliation, "read_balance", doubting)
        assert engine.reconcile(now=True).requeued == ()
    [order] = engine.read(order)
    assert (order.state, order.error_message) == (State.UNCERTAIN, "a doubt")


def test_a_task_that_turns_up_after_its_order_was_requeued_is_shown(known, clock):
    """It was not made by the order's last POST: a person decides whether it is the order's."""
    engine = known
    [order] = engine.lose("a cat", fault="500-before")
    engine.ledger.claims.requeue(order, actor="ada", due_at=clock(), reason="requeued by hand")
    first = engine.create_out_of_band("a cat")
    clock.forward(seconds=60)
    engine.control("faults", **{"500-before": 1.0})
    engine.submit()
    engine.control("faults")
    assert engine.reconcile().adopted == ()
    [doubt] = engine.doubts()
    assert first in doubt
    assert f"run `reconcile {order.order_id}` with --adopt TASK_ID" in doubt


def test_two_workers_at_once_resolve_each_order_once(known, clock):
    """One worker adopts or requeues the order, and the other leaves it alone."""
    engine = known
    lost = engine.lose(*["a cat"] * 5)
    never = engine.lose(*["a dog"] * 5, fault="500-before")

    async def both() -> None:
        async def one(name: str) -> None:
            async with working(engine.services, name) as worker:
                await reconcile(worker, now=True)

        await asyncio.gather(*(one(f"w{number}") for number in range(4)))

    clock.forward(seconds=5)
    engine.know()
    asyncio.run(both())
    asyncio.run(both())  # where two workers were after the same tasks at the same moment
    clock.forward(seconds=670)
    engine.poll()
    asyncio.run(both())
    asyncio.run(both())  # where an adoption of the same moment kept the balance from being read
    for order in lost:
        assert engine.steps_of(order) == ["queued", "claimed", "uncertain", "submitted", "succeeded"]
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
    engine.ledger.reconciliation.note_absence(old, due_at=clock(), since=old.claimed_at, reason="absent")
    assert engine.read(old)[0].absent_since is None
    with pytest.raises(StaleOrderError):
        engine.ledger.claims.requeue(old, actor="slow", due_at=clock(), reason="absent twice")


def test_lost_replies_of_killed_workers_are_reconciled_too(engine, clock):
    """A claim whose worker is gone becomes uncertain, and is adopted or requeued like any other."""
    engine.place("a cat")
    [claimed] = engine.ledger.claims.take("dead", limit=1, max_in_flight=None)
    engine.ledger.claims.mark_sent(claimed, account=engine.account_name)
    engine.create_out_of_band("a cat")  # what the dead worker's POST made
    clock.forward(seconds=61)
    engine.ledger.claims.expire(actor="w")
    assert len(engine.reconcile().adopted) == 1
