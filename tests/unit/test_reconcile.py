"""Reconciliation: a lost answer is settled by the vendor's history, and nothing is freed on weak evidence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bench_support import POINTS
from reconcile_support import benches, states, steps, two_readings

from seedance_dagster.engine.reconcile import history
from seedance_dagster.engine.reconcile.reconcile import reconcile
from seedance_dagster.engine.worker import working
from seedance_dagster.ledger.order import State


@pytest.fixture
def on(tmp_path: Path, clock):
    with benches(tmp_path, clock) as make:
        yield make


@pytest.fixture
def it(on):
    return on()


def test_a_task_that_was_made_is_adopted_with_the_vendor_s_own_time(it, clock):
    """The order owns the task, its creation time is the vendor's, and it is looked at at once."""
    [order] = it.lose("a cat")
    made_at = clock()
    clock.forward(seconds=90)
    settled = it.reconcile()
    [adopted] = settled.adopted
    assert (settled.freed, settled.uncertain) == ((), ())
    [task_id] = it.vendor.tasks
    assert (adopted.state, adopted.task_id) == (State.SUBMITTED, task_id)
    assert (adopted.vendor_created_at, adopted.due_at, adopted.points_held) == (made_at, clock(), POINTS)
    last = it.ledger.queries.journal(order.order_id)[-1]
    assert (last.actor, last.detail) == ("w", {"task_id": task_id, "how": "adopted"})


@pytest.mark.parametrize(("orders", "tasks"), [(3, 3), (3, 2), (3, 0), (1, 1)])
def test_identical_orders_match_identical_tasks_one_to_one(it, orders, tasks):
    """As many orders are adopted as there are tasks, each task once; the others wait."""
    it.lose(*["a cat"] * tasks)
    it.lose(*["a cat"] * (orders - tasks), fault="500-before")
    settled = it.reconcile()
    assert (len(settled.adopted), len(settled.freed), len(settled.uncertain)) == (tasks, 0, orders - tasks)
    assert {order.task_id for order in settled.adopted} == set(it.vendor.tasks)


def test_an_order_that_never_arrived_is_freed_after_two_clean_readings(it, clock):
    """Not before the grace period is over, however often and by whom it is looked at."""
    [order] = it.lose("a cat", fault="500-before")
    for seconds in (0, 60, 300, 239):
        clock.forward(seconds=seconds)
        assert it.reconcile(now=True).freed == ()
    clock.forward(seconds=1)
    [freed] = it.reconcile(now=True).freed
    assert (freed.state, freed.attempt, freed.absent_since) == (State.QUEUED, 1, None)
    assert it.ledger.queries.journal(order.order_id)[-1].detail == {
        "reason": "no task was made: the history was read twice without it"
    }
    [again] = it.submit()
    assert again.state is State.SUBMITTED
    assert len(it.vendor.tasks) == 1


def test_the_grace_period_can_be_set(it, clock):
    """It is a setting of whoever builds the engine."""
    it.under(grace_s=30)
    it.lose("a cat", fault="500-before")
    it.reconcile()
    clock.forward(seconds=29)
    assert it.reconcile(now=True).freed == ()
    clock.forward(seconds=1)
    assert len(it.reconcile(now=True).freed) == 1


def test_an_order_is_looked_at_once_a_minute(it, clock):
    """The history is read when an order is due, or now where somebody says so."""
    it.lose("a cat", fault="500-before")
    assert len(it.reconcile().uncertain) == 1
    clock.forward(seconds=59)
    assert it.reconcile().uncertain == ()
    assert len(it.reconcile(now=True).uncertain) == 1
    clock.forward(seconds=60)
    assert len(it.reconcile().uncertain) == 1


def test_nothing_uncertain_asks_nothing(it):
    """Without uncertain orders the history is left alone."""
    it.accept("a cat")
    assert it.reconcile(now=True).uncertain == ()
    assert it.app.state.emulator.traffic.calls["history"] == 0


def test_an_unreadable_history_frees_nothing_and_starts_the_grace_anew(it, clock):
    """The reason is on the order; the clean readings before it no longer count."""
    it.lose("a cat", fault="500-before")
    it.reconcile()
    clock.forward(seconds=590)
    it.tell("faults", **{"history-500": 1.0})
    [order] = it.reconcile().uncertain
    assert order.absent_since is None
    assert order.error_message.startswith("the vendor's history cannot be read: ")
    it.tell("faults")
    clock.forward(seconds=60)
    it.reconcile()
    clock.forward(seconds=599)
    assert it.reconcile(now=True).freed == ()
    clock.forward(seconds=1)
    assert len(it.reconcile(now=True).freed) == 1


def test_a_task_that_turns_up_after_its_order_was_freed_is_adopted(on, clock):
    """The window begins at the acceptance: a first task that was listed too late is not lost."""
    it = on(history_lag_seconds=3000)
    # Another's task shows that the history lists what is at work, and the account tells nothing.
    it.stranger("somebody's dog")
    clock.forward(seconds=3000)
    it.tell("settings", history_lag_seconds=0)
    it.stranger("somebody's cat")
    it.tell("outage", seconds=86_400, scope="account")
    [order] = it.lose("a cat", fault="500-after")
    it.tell("settings", history_lag_seconds=3000)
    first = list(it.vendor.tasks)[-1]
    it.ledger.observations.remember({history.LISTS_UNFINISHED: 1})
    two_readings(it, clock)
    assert states(it) == [State.QUEUED]
    it.tell("faults", **{"500-before": 1.0})
    it.submit()
    it.tell("faults")
    assert states(it) == [State.UNCERTAIN]
    clock.forward(seconds=2400)
    [adopted] = it.reconcile().adopted
    assert (adopted.order_id, adopted.task_id) == (order.order_id, first)
    assert adopted.vendor_created_at < adopted.claimed_at


def test_two_reconcilers_at_once_settle_each_order_once(it, clock):
    """Adopted or freed, one of them does it and the other leaves it."""
    lost = it.lose(*["a cat"] * 5)
    never = it.lose(*["a dog"] * 5, fault="500-before")

    async def both() -> None:
        async def one(name: str) -> None:
            async with working(it.services, name) as worker:
                await reconcile(worker, now=True)

        await asyncio.gather(*(one(f"w{number}") for number in range(4)))

    asyncio.run(both())
    clock.forward(seconds=600)
    asyncio.run(both())
    for order in lost:
        assert steps(it, order) == ["queued", "claimed", "uncertain", "submitted"]
    for order in never:
        assert steps(it, order) == ["queued", "claimed", "uncertain", "queued"]
    assert len({order.task_id for order in it.orders(*lost)}) == 5


def test_a_reading_from_before_a_later_claim_says_nothing_about_it(it, clock):
    """A slow reconciler frees and notes nothing for an order that was sent again meanwhile."""
    from seedance_dagster.ledger.errors import StaleOrderError

    [old] = it.lose("a cat", fault="500-before")
    it.ledger.claims.requeue(old, actor="other", due_at=clock(), reason="released by hand")
    clock.forward(seconds=5)
    it.tell("faults", **{"500-after": 1.0})
    it.submit()
    [new] = it.orders(old)
    assert new.state is State.UNCERTAIN
    it.ledger.reconciliation.note_absence(old, due_at=clock(), since=old.claimed_at)
    assert it.orders(old)[0].absent_since is None
    with pytest.raises(StaleOrderError):
        it.ledger.claims.requeue(old, actor="slow", due_at=clock(), reason="absent twice")


def test_lost_answers_of_killed_workers_are_settled_alike(it, clock):
    """A claim whose worker is gone becomes uncertain and is adopted or freed as any other."""
    it.accept("a cat")
    it.ledger.leases.acquire("dead", "dead", seconds=60)
    it.ledger.claims.take("dead", limit=1, max_in_flight=None)
    it.stranger("a cat")  # what the dead worker's POST made
    clock.forward(seconds=61)
    it.ledger.claims.expire(actor="w")
    assert len(it.reconcile().adopted) == 1
