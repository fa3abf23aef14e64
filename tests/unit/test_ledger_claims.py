"""Claims: the orders that a worker may send next."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.each_database


def test_claims_are_fair_over_sets_and_oldest_first(ledger, orders):
    """Claims take the oldest orders by sets in turn, so a large set does not starve a small one."""
    orders.place("a1", "a2", "a3", prompt_set="a")
    orders.place("b1", "b2", prompt_set="b")
    claimed = ledger.claims.take("w", limit=4, max_in_flight=None)
    assert [order.partition for order in claimed] == ["a1", "b1", "a2", "b2"]
    assert {order.lease_owner for order in claimed} == {"w"}


def test_slots_that_come_free_one_by_one_are_shared(ledger, orders, clock):
    """One slot at a time goes to the sets by turns, however many orders one of them has."""
    orders.place("a1", "a2", "a3", "a4", prompt_set="a")
    orders.place("b1", "b2", prompt_set="b")
    taken = []
    for _ in range(6):
        clock.forward(seconds=1)
        [order] = ledger.claims.take("w", limit=1, max_in_flight=1)
        order = ledger.tasks.submitted(order, actor="w", due_at=clock(), task={"task_id": order.partition})
        ledger.tasks.succeeded(order, actor="w", task={})
        taken.append(order.partition)
    assert taken == ["a1", "b1", "a2", "b2", "a3", "a4"]


def test_a_set_with_many_tasks_in_flight_waits(ledger, orders, clock):
    """Free slots go first to the set with the fewest tasks in flight."""
    orders.place("a1", "a2", "a3", "a4", prompt_set="a")
    ledger.claims.take("w", limit=3, max_in_flight=None)
    clock.forward(seconds=1)
    orders.place("b1", "b2", "b3", prompt_set="b")
    claimed = ledger.claims.take("w", limit=4, max_in_flight=None)
    assert [order.partition for order in claimed] == ["b1", "b2", "b3", "a4"]


def test_claims_count_all_tasks_in_flight(ledger, orders):
    """Tasks at the vendor and open claims count against the limit, over all workers."""
    orders.make_many(State.SUBMITTED, "a", "b")
    orders.place("c", "d", "e", "f")
    assert len(ledger.claims.take("v", limit=10, max_in_flight=4)) == 2
    assert ledger.claims.take("u", limit=10, max_in_flight=4) == []


def test_concurrent_claims_never_exceed_the_limit_or_share_an_order(ledger, orders):
    """Eight claiming workers together take exactly the limit, each order once."""
    orders.place(*(f"p{n}" for n in range(40)))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: ledger.claims.take(f"w{n}", limit=10, max_in_flight=25), range(8)))
    ids = [order.order_id for claimed in taken for order in claimed]
    assert len(ids) == len(set(ids)) == 25


def test_nothing_is_claimed_on_a_count_from_before_a_rejection(ledger, orders, clock):
    """A worker that counted rejections just before the last one does not outrun the throttle."""
    [order] = orders.make_many(State.SUBMITTED, "a")
    orders.place("b")
    before = ledger.workload.rejections_since(clock())
    task = {"vendor_ended_at": clock()}
    ledger.tasks.ended(order, State.REJECTED, actor="w", error_class="moderation", reason="no", task=task)
    assert ledger.claims.take("w", limit=1, max_in_flight=1, rejections=before) == []
    now = ledger.workload.rejections_since(clock())
    assert len(ledger.claims.take("w", limit=1, max_in_flight=1, rejections=now)) == 1


def test_a_queued_order_waits_for_its_time(ledger, orders, clock):
    """A requeued order is not claimed before it is due."""
    orders.place("a")
    [order] = ledger.claims.take("w", limit=1, max_in_flight=None)
    ledger.claims.requeue(order, actor="w", due_at=clock() + timedelta(seconds=30), reason="429")
    assert ledger.claims.take("w", limit=1, max_in_flight=None) == []
    clock.forward(seconds=30)
    [again] = ledger.claims.take("w", limit=1, max_in_flight=None)
    assert (again.attempt, again.error_message) == (1, "429")


def test_only_restricts_claims_and_leases(ledger, orders):
    """A waiting run works only on its own orders."""
    [_, b] = orders.make_many(State.SUBMITTED, "a", "b")
    [c] = orders.place("c")
    orders.place("d")
    claimed = ledger.claims.take("w", limit=9, max_in_flight=None, only=[c.order_id])
    assert [order.partition for order in claimed] == ["c"]
    leased = ledger.tasks.lease_due("w", State.SUBMITTED, limit=9, only=[b.order_id])
    assert [order.partition for order in leased] == ["b"]


def test_a_claim_of_a_dead_worker_becomes_uncertain(ledger, orders, clock):
    """A dead worker's claim becomes uncertain, since it may have sent the POST during its lease."""
    orders.place("a", "b")
    [mine] = ledger.claims.take("alive", limit=1, max_in_flight=None, lease_s=60)
    [claimed] = ledger.claims.take("dead", limit=1, max_in_flight=None, lease_s=60)
    ledger.claims.mark_sent(claimed, account="mine")
    sent_at = clock()
    assert ledger.claims.expire(actor="s") == []
    clock.forward(seconds=50)
    ledger.leases.renew("alive", [mine.order_id], seconds=60)
    clock.forward(seconds=11)
    [lost] = ledger.claims.expire(actor="s")
    assert (lost.partition, lost.state, lost.lease_owner) == ("b", State.UNCERTAIN, None)
    assert (lost.sent_at, lost.lost_at) == (sent_at, sent_at + timedelta(seconds=60))
    assert (lost.account, mine.account) == ("mine", None)
    assert ledger.queries.journal(lost.order_id)[-1].detail == {"lost_worker": "dead"}
    assert ledger.claims.take("alive", limit=9, max_in_flight=None) == []


def test_a_claim_whose_post_never_left_is_queued_again(ledger, orders, clock):
    """A claim of a worker that died before it noted the POST is queued again, whatever earlier claims did."""
    orders.place("a")
    for _ in range(2):
        [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None, lease_s=60)
        clock.forward(seconds=61)
        [order] = ledger.claims.expire(actor="s")
        assert (order.state, order.lost_at) == (State.QUEUED, None)
        with pytest.raises(StaleOrderError):
            ledger.claims.mark_sent(claimed, account="mine")  # it wakes up too late
        [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None, lease_s=60)
        ledger.claims.mark_sent(claimed, account="mine")
        ledger.claims.requeue(claimed, actor="w", due_at=clock(), reason="429")
