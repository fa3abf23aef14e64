"""Leases on due work, and the transitions of orders."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from factories import POINTS

from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.each_database


def test_a_task_belongs_to_one_order(ledger, orders, clock):
    """Recording a task that another order owns raises and changes nothing."""
    orders.make_many(State.SUBMITTED, "a")
    orders.place("b")
    [order] = ledger.claims.take("w", limit=1, max_in_flight=None)
    with pytest.raises(TaskOwnedError, match="belongs to order"):
        ledger.tasks.submitted(order, actor="w", due_at=clock(), task={"task_id": "t-1"})
    assert ledger.queries.get(order.order_id).state is State.CLAIMED


def test_an_uncertain_order_can_be_adopted_or_requeued(ledger, orders, clock):
    """An uncertain order becomes submitted or queued, and nothing else."""
    orders.place("a", "b")
    first, second = (
        ledger.claims.mark_uncertain(order, actor="w", reason="lost")
        for order in ledger.claims.take("w", limit=2, max_in_flight=None)
    )
    adopted = ledger.tasks.submitted(first, actor="s", due_at=clock(), task={"task_id": "t"}, how="adopted")
    assert (adopted.state, adopted.task_id) == (State.SUBMITTED, "t")
    requeued = ledger.claims.requeue(second, actor="s", due_at=clock(), reason="no task was made")
    assert (requeued.state, requeued.attempt) == (State.QUEUED, 1)


def test_leased_work_has_one_worker_until_the_lease_ends(ledger, orders, clock):
    """One worker at a time polls a due task; a dead worker's task becomes free again."""
    orders.make_many(State.SUBMITTED, "a")
    assert len(ledger.tasks.lease_due("x", State.SUBMITTED, limit=5)) == 1
    assert ledger.tasks.lease_due("y", State.SUBMITTED, limit=5) == []
    clock.forward(seconds=61)
    assert len(ledger.tasks.lease_due("y", State.SUBMITTED, limit=5)) == 1


def test_a_lease_that_nobody_renews_runs_out_although_its_worker_lives(ledger, orders, clock):
    """An order that its worker lost, as after a commit whose answer was lost, is taken up again."""
    orders.make_many(State.SUBMITTED, "lost", "in hand")
    lost, in_hand = ledger.tasks.lease_due("x", State.SUBMITTED, limit=5, lease_s=60)
    clock.forward(seconds=45)
    ledger.leases.renew("x", [in_hand.order_id], seconds=60)
    clock.forward(seconds=45)
    assert ledger.workload.actionable().to_poll == 1
    [taken] = ledger.tasks.lease_due("x", State.SUBMITTED, limit=5, lease_s=60)
    assert taken.order_id == lost.order_id


def test_a_worker_renews_no_lease_that_another_worker_has_by_now(ledger, orders, clock):
    """A late renewal does not take back a lease that another worker has by now."""
    orders.make_many(State.SUBMITTED, "a")
    [mine] = ledger.tasks.lease_due("x", State.SUBMITTED, limit=1)
    clock.forward(seconds=999)
    [theirs] = ledger.tasks.lease_due("y", State.SUBMITTED, limit=1)
    ledger.leases.renew("x", [mine.order_id], seconds=9999)
    assert ledger.queries.get(mine.order_id) == theirs


def test_work_is_leased_longest_waiting_first(ledger, orders, clock):
    """The task that has waited longest is polled first, so that none starves."""
    orders = orders.make_many(State.SUBMITTED, "a", "b", "c")
    leased = ledger.tasks.lease_due("x", State.SUBMITTED, limit=3)
    for order, seconds in zip(leased, (30, 10, 20), strict=True):
        ledger.tasks.polled(order, due_at=clock() + timedelta(seconds=seconds), task={})
    assert ledger.tasks.lease_due("x", State.SUBMITTED, limit=3) == []
    clock.forward(seconds=60)
    again = ledger.tasks.lease_due("x", State.SUBMITTED, limit=2)
    assert [order.partition for order in again] == ["b", "c"]
    assert {order.polls for order in again} == {1}
    assert len(orders) == 3


def test_a_clock_that_ran_ahead_delays_nothing(ledger, orders, clock):
    """Due times, leases and pauses that it left hours ahead count as over once the clock is right again."""
    orders.place("late")
    [late] = ledger.claims.take("w", limit=1, max_in_flight=None)
    orders.make_many(State.SUBMITTED, "a", "b")
    clock.forward(hours=3)
    ledger.leases.acquire("advance", "dead", seconds=60)
    [_] = ledger.tasks.lease_due("dead", State.SUBMITTED, limit=1)
    [b] = ledger.tasks.lease_due("w", State.SUBMITTED, limit=1)
    ledger.tasks.polled(b, due_at=clock() + timedelta(seconds=120), task={})
    ledger.claims.requeue(late, actor="w", due_at=clock() + timedelta(seconds=60), reason="429")
    ledger.pauses.start("rate limit", until=clock() + timedelta(seconds=60), message="429")
    clock.forward(hours=-3)
    assert (ledger.pauses.active(), ledger.leases.owner_of("advance")) == ({}, None)
    work = ledger.workload.actionable()
    assert (work.to_submit, work.to_poll, work.next_due_at) == (1, 2, None)
    assert work.waiting_since < clock()
    assert ledger.leases.acquire("advance", "living", seconds=60)
    assert len(ledger.tasks.lease_due("living", State.SUBMITTED, limit=9)) == 2
    assert len(ledger.claims.take("living", limit=9, max_in_flight=None)) == 1


def test_a_worker_that_lost_its_lease_writes_nothing(ledger, orders, clock):
    """The results of a paused worker are dropped after another took over."""
    orders.make_many(State.SUBMITTED, "a")
    [mine] = ledger.tasks.lease_due("x", State.SUBMITTED, limit=1)
    clock.forward(seconds=999)
    [theirs] = ledger.tasks.lease_due("y", State.SUBMITTED, limit=1)
    with pytest.raises(StaleOrderError, match="no longer"):
        ledger.tasks.succeeded(mine, actor="x", task={})
    ledger.tasks.polled(mine, due_at=clock() + timedelta(hours=1), task={"points_held": 99})
    assert ledger.queries.get(mine.order_id).points_held == POINTS
    assert ledger.tasks.succeeded(theirs, actor="y", task={"points_charged": 4}).state is State.SUCCEEDED


def test_a_failed_attempt_queues_the_next_with_one_retry_less(ledger, orders, clock):
    """Vendor trouble starts the next attempt in the same transaction."""
    [order] = orders.make_many(State.SUBMITTED, "a")
    later = clock() + timedelta(seconds=30)
    over, again = ledger.tasks.ended(
        order, State.FAILED, actor="w", error_class="vendor", reason="oops", task={}, retry_at=later
    )
    assert (over.state, over.error_class) == (State.FAILED, "vendor")
    assert (again.state, again.attempt, again.retries, again.due_at) == (State.QUEUED, 2, 0, later)
    assert (again.idempotency_key, again.request) == (order.idempotency_key, order.request)
    assert ledger.queries.next_attempt(over) == again
    assert ledger.queries.next_attempt(again) is None


def test_a_failed_transfer_leaves_the_order_succeeded(ledger, orders, clock):
    """The transfer is retried later, and the video is never ordered again."""
    [order] = orders.make_many(State.SUBMITTED, "a")
    order = ledger.tasks.succeeded(order, actor="w", task={"points_charged": 4})
    [order] = ledger.tasks.lease_due("w", State.SUCCEEDED, limit=1)
    later = ledger.tasks.transfer_failed(order, actor="w", due_at=clock() + timedelta(seconds=5), reason="S3")
    assert (later.state, later.transfer_failures, later.error_message) == (
        State.SUCCEEDED,
        1,
        "S3",
    )
    assert ledger.tasks.lease_due("w", State.SUCCEEDED, limit=1) == []
    clock.forward(seconds=5)
    [order] = ledger.tasks.lease_due("w", State.SUCCEEDED, limit=1)
    stored = ledger.tasks.stored(order, actor="w", artifacts={"sha256": "ab"})
    assert (stored.state, stored.error_message, stored.lease_owner) == (State.STORED, None, None)
    assert [entry.to_state for entry in ledger.queries.journal(order.order_id)] == [
        "queued",
        "claimed",
        "submitted",
        "succeeded",
        "succeeded",
        "stored",
    ]


def test_the_lifecycle_has_no_other_transitions(ledger, orders):
    """An impossible transition is a programming error, and nothing is written."""
    [order] = orders.make_many(State.SUBMITTED, "a")
    with pytest.raises(ValueError, match="cannot go from submitted to queued"):
        ledger.claims.requeue(order, actor="w", due_at=order.ordered_at, reason="x")
    with pytest.raises(StaleOrderError):
        ledger.tasks.stored(
            dataclasses.replace(order, state=State.SUCCEEDED), actor="w", artifacts={"sha256": "ab"}
        )
    assert ledger.queries.get(order.order_id).state is State.SUBMITTED


def test_a_worker_that_ends_frees_its_work_and_requeues_unsent_claims(ledger, orders):
    """Only the claims whose POST may have left become uncertain."""
    orders.make_many(State.SUBMITTED, "a")
    orders.place("b", "c")
    ledger.tasks.lease_due("x", State.SUBMITTED, limit=1)
    b, c = ledger.claims.take("x", limit=2, max_in_flight=None)
    ledger.tasks.release("x", possibly_sent={c.order_id})
    assert ledger.queries.get(b.order_id).state is State.QUEUED
    assert ledger.queries.get(c.order_id).state is State.UNCERTAIN
    assert len(ledger.tasks.lease_due("y", State.SUBMITTED, limit=1)) == 1


def test_a_worker_can_return_some_orders_and_go_on(ledger, orders):
    """Returned orders are free; its other orders and those of other workers stay as they are."""
    orders.make_many(State.SUBMITTED, "a", "b")
    orders.place("c", "d", "e")
    a, b = ledger.tasks.lease_due("x", State.SUBMITTED, limit=2)
    c, d = ledger.claims.take("x", limit=2, max_in_flight=None)
    [e] = ledger.claims.take("z", limit=1, max_in_flight=None)
    ledger.tasks.return_orders(
        "x", {a.order_id, c.order_id, d.order_id, e.order_id}, possibly_sent={d.order_id}
    )
    assert [ledger.queries.get(order.order_id).state for order in (c, d, e)] == [
        State.QUEUED,
        State.UNCERTAIN,
        State.CLAIMED,
    ]
    assert [ledger.queries.get(order.order_id).lease_owner for order in (a, b, c, d, e)] == [
        None,
        "x",
        None,
        None,
        "z",
    ]


def test_a_late_poll_overwrites_nothing_that_came_after_it(ledger, orders, clock):
    """A poll that ends after its order succeeded, under the same worker's name, changes nothing."""
    [order] = orders.make_many(State.SUBMITTED, "a")
    [early] = ledger.tasks.lease_due("w", State.SUBMITTED, limit=1)
    done = ledger.tasks.succeeded(
        early, actor="w", task={"points_charged": 4, "video_url": "https://v.example/a"}
    )
    [held] = ledger.tasks.lease_due("w", State.SUCCEEDED, limit=1)
    ledger.tasks.polled(early, due_at=clock(), task={"points_charged": 0, "video_url": None})
    now = ledger.queries.get(order.order_id)
    assert (now.points_charged, now.video_url) == (4, done.video_url)
    assert now.lease_owner == held.lease_owner == "w"
