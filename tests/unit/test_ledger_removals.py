"""Pairs of orders in the ledger: one renders a video, the other takes the watermark off it."""

from __future__ import annotations

import dataclasses

import pytest
from factories import POINTS, make_new_order

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import BudgetExceededError
from seedance_dagster.ledger.order import WITHDRAWN, NewRemoval, Order, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.money import Window

pytestmark = pytest.mark.each_database
REMOVAL_POINTS = 100


def cleaned(partition: str = "cat", fingerprint: str = "f-cat", **fields) -> NewRemoval:
    """Return the order of a video without its watermark; its source has the fingerprint of the request."""
    source = make_new_order(partition, fingerprint=fingerprint, **fields)
    own = {"fingerprint": f"{fingerprint}-clean", "estimated_points": REMOVAL_POINTS}
    return NewRemoval(**vars(source) | own | {"reserved_points": REMOVAL_POINTS}, source=source)


def place(ledger, *new, key: str = "c", budgets=(), **options):
    """Place orders; return the answers."""
    return ledger.orders.place(new, OrderRequest(idempotency_key=key, run_id="r", **options), budgets)


def pair(ledger, new: NewRemoval | None = None, **options) -> tuple[Order, Order]:
    """Place a pair; return source and removal."""
    [(removal, outcome)] = place(ledger, new or cleaned(), **options)
    assert outcome is Outcome.ORDERED
    return ledger.queries.get(removal.source_order_id), removal


def take(ledger) -> list[int]:
    """Claim what may be sent; return the ids."""
    return [order.order_id for order in ledger.claims.take("w", limit=9, max_in_flight=None)]


def test_both_are_reserved_in_one_transaction(ledger):
    """A budget without room for both has neither, and they count as one prompt."""
    total = POINTS + REMOVAL_POINTS
    with pytest.raises(BudgetExceededError) as declined:
        place(ledger, cleaned(), cleaned("dog", "f-dog"), budgets=[budget(2 * total - 1)])
    assert declined.value.affordable == 1
    assert ledger.queries.find() == []
    pair(ledger, budgets=[budget(total)])
    [usage] = ledger.budgets.usage([budget(total)])
    assert usage.reserved == total


def budget(points: int) -> Budget:
    return Budget(window=Window.TOTAL, points=points)


def test_a_removal_is_sent_only_after_its_source_has_succeeded(ledger, orders, clock):
    """Until its source has succeeded, no worker takes a removal, and it does not count as work."""
    source, removal = pair(ledger)
    assert (take(ledger), ledger.workload.actionable().to_submit) == ([source.order_id], 0)
    clock.forward(hours=2)
    assert take(ledger) == []
    claimed = ledger.queries.get(source.order_id)
    submitted = ledger.tasks.submitted(claimed, actor="w", due_at=clock(), task={"task_id": "t1"})
    ledger.tasks.succeeded(submitted, actor="w", task={"points_charged": POINTS})
    assert take(ledger) == [removal.order_id]
    assert ledger.queries.get(source.order_id).state is State.SUCCEEDED


@pytest.mark.parametrize("state", [State.REJECTED, State.FAILED])
def test_a_source_that_ends_without_a_video_withdraws_its_removal(ledger, clock, state):
    """If its source has no video, a removal is withdrawn with the reason and its reservation freed."""
    source, removal = pair(ledger)
    take(ledger)
    claimed = ledger.queries.get(source.order_id)
    submitted = ledger.tasks.submitted(claimed, actor="w", due_at=clock(), task={"task_id": "t1"})
    ledger.tasks.ended(
        submitted, state, actor="w", error_class="x", reason="too bad", task={"points_charged": 0}
    )
    ended = ledger.queries.get(removal.order_id)
    assert (ended.state, ended.error_class) == (State.FAILED, WITHDRAWN)
    assert "too bad" in str(ended.error_message)
    [usage] = ledger.budgets.usage([budget(10 * POINTS)])
    assert (usage.reserved, usage.spent) == (0, 0)


def test_the_next_attempt_of_a_source_takes_its_place(ledger, clock):
    """The removal waits for it; its own retry keeps its source."""
    source, removal = pair(ledger)
    take(ledger)
    claimed = ledger.queries.get(source.order_id)
    submitted = ledger.tasks.submitted(claimed, actor="w", due_at=clock(), task={"task_id": "t1"})
    trouble = {"actor": "w", "error_class": "vendor", "reason": "x", "retry_at": clock()}
    _, again = ledger.tasks.ended(submitted, State.FAILED, task={"points_charged": 0}, **trouble)
    assert again is not None
    assert ledger.queries.get(removal.order_id).source_order_id == again.order_id
    assert take(ledger) == [again.order_id]
    second = ledger.tasks.submitted(
        ledger.queries.get(again.order_id), actor="w", due_at=clock(), task={"task_id": "t2"}
    )
    ledger.tasks.succeeded(second, actor="w", task={"points_charged": POINTS})
    assert take(ledger) == [removal.order_id]
    _, retried = ledger.tasks.ended(
        ledger.queries.get(removal.order_id), State.FAILED, task={"points_charged": 0}, **trouble
    )
    assert retried is not None
    assert (retried.source_order_id, retried.task_type) == (again.order_id, "remove-watermark")


def test_the_order_of_the_same_video_is_the_source(ledger, orders):
    """The video is rendered once, for a partition with its watermark and for one without."""
    [stored] = orders.make_many(State.STORED, "cat", fingerprint="f-cat")
    source, removal = pair(ledger, cleaned("dog"))
    assert source.order_id == stored.order_id
    assert take(ledger) == [removal.order_id]
    [(joined, outcome)] = place(ledger, cleaned("cow"), key="d")
    assert (joined.order_id, outcome) == (removal.order_id, Outcome.JOINED)
    assert {link.partition for link in ledger.reports.links(stored.order_id)} == {"cat", "dog", "cow"}


def test_a_rejected_source_is_not_ordered_again(ledger, orders):
    """The partition is given the rejected order, and nothing is paid for."""
    [rejected] = orders.make_many(State.REJECTED, "cat", fingerprint="f-cat")
    assert place(ledger, cleaned(), key="d") == [(rejected, Outcome.SKIPPED)]
    assert len(ledger.queries.find()) == 1


def test_an_edited_prompt_withdraws_both(ledger):
    """While a prompt asks for the clean video, its source stays queued; an edit withdraws both orders."""
    clean = PartitionRequest("f-cat-clean")
    ledger.partitions.update("spots", {"cat": clean})
    source, removal = pair(ledger)
    ledger.withdrawals.unwanted(["spots"], actor="sync")
    assert ledger.queries.get(source.order_id).state is State.QUEUED
    ledger.partitions.update("spots", {"cat": PartitionRequest("edited")})
    ledger.withdrawals.unwanted(["spots"], actor="sync")
    assert {ledger.queries.get(order.order_id).state for order in (source, removal)} == {State.FAILED}


def test_a_removed_prompt_does_not_send_a_removal_before_its_source(ledger, clock):
    """A prompt that was removed and is back does not make its removal due before the source."""
    clean = {"cat": PartitionRequest("f-cat-clean")}
    ledger.partitions.update("spots", clean)
    source, removal = pair(ledger)
    ledger.partitions.update("spots", {})
    ledger.withdrawals.unwanted(["spots"], actor="sync")
    ledger.partitions.update("spots", clean)
    clock.forward(minutes=2)
    assert take(ledger) == [source.order_id]
    assert ledger.queries.get(removal.order_id).due_at is None


def test_cancel_withdraws_a_pair_once(ledger):
    """Cancelling names both orders of a pair once, whichever comes first."""
    source, removal = pair(ledger)
    cancelled = ledger.withdrawals.cancel("spots", "cat", actor="me")
    assert {order.order_id for order in cancelled} == {source.order_id, removal.order_id}
    assert {ledger.queries.get(order.order_id).state for order in (source, removal)} == {State.FAILED}


def test_regenerate_pays_for_both_again(ledger, orders, clock):
    """A video that was stored before the request counts neither as the clean one nor as its source."""
    source, removal = pair(ledger)
    orders.advance(source, State.STORED)
    orders.advance(ledger.queries.get(removal.order_id), State.STORED)
    clock.forward(hours=1)
    [(reused, outcome)] = place(ledger, cleaned(), key="d")
    assert (reused.order_id, outcome) == (removal.order_id, Outcome.REUSED)
    again, cleaned_again = pair(ledger, key="e", regenerate=True)
    assert (again.attempt, cleaned_again.attempt) == (2, 2)


def test_the_video_with_the_watermark_is_shown_when_the_removal_has_failed(ledger, orders, clock):
    """While it is open the partition shows nothing; spend counts both types apart."""
    [stored] = orders.make_many(State.STORED, "cat", fingerprint="f-cat")
    ledger.partitions.update("spots", {"cat": PartitionRequest("f-cat-clean")})
    _, removal = pair(ledger)
    assert ledger.videos.current("spots") == []
    take(ledger)
    ledger.tasks.ended(
        ledger.queries.get(removal.order_id),
        State.FAILED,
        actor="w",
        error_class="x",
        reason="x",
        task={"task_id": "t9", "points_charged": 0},
    )
    [current] = ledger.videos.current("spots")
    assert current.order.order_id == stored.order_id
    failed = {link.partition: link.failed_removal for link in ledger.reports.links(stored.order_id)}
    assert failed == {"cat": removal.order_id}


def test_what_a_cleaned_video_cost_is_unknown_where_one_charge_is():
    """The cost of a cleaned video is unknown if either charge is unknown."""
    order = Order(
        **vars(make_new_order())
        | {"order_id": 1, "attempt": 1, "state": State.STORED, "idempotency_key": "c", "run_id": "r"}
        | dict.fromkeys(("ordered_at", "booked_at"), None),
        source_order_id=2,
        source={"points_charged": 5},
        points_charged=3,
    )
    assert order.video_points == 8
    assert dataclasses.replace(order, points_charged=None).video_points is None
    assert dataclasses.replace(order, source={"points_charged": None}).video_points is None
