"""Placing orders in the ledger."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from seedance_dagster.ledger.errors import BudgetExceededError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import MANY_TRANSFER_FAILURES, Order, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome, find_existing_order

pytestmark = pytest.mark.each_database

REQUEST = OrderRequest(idempotency_key="backfill-1", run_id="run-1")


def finish(ledger: Ledger, order, state: State, charged: int | None = 0) -> Order:
    """Take a queued order to its end."""
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None, only=[order.order_id])
    task = {"task_id": f"task-{order.order_id}", "points_charged": charged}
    submitted = ledger.tasks.submitted(claimed, actor="w", due_at=order.ordered_at, task=task)
    if state is State.STORED:
        succeeded = ledger.tasks.succeeded(submitted, actor="w", task=task)
        return ledger.tasks.stored(succeeded, actor="w", artifacts={"sha256": "00"})
    ended, _ = ledger.tasks.ended(submitted, state, actor="w", error_class="x", reason="because", task=task)
    return ended


def test_a_new_order_is_queued_and_journalled(ledger, new_order):
    """Placing makes a queued first attempt with one journal row."""
    [(order, outcome)] = ledger.orders.place([new_order()], REQUEST)
    assert outcome is Outcome.ORDERED
    assert (order.state, order.attempt, order.idempotency_key, order.run_id) == (
        State.QUEUED,
        1,
        "backfill-1",
        "run-1",
    )
    [entry] = ledger.queries.journal(order.order_id)
    assert (entry.from_state, entry.to_state, entry.actor) == (None, "queued", "run-1")


def test_an_order_in_flight_is_joined(ledger, new_order):
    """The same fingerprint in flight is never ordered twice, under any key."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    [(second, outcome)] = ledger.orders.place(
        [new_order()],
        OrderRequest(idempotency_key="other", run_id="r", regenerate=True, resubmit_rejected=True),
    )
    assert (second.order_id, outcome) == (first.order_id, Outcome.JOINED)


def test_a_partition_requested_twice_at_once_is_ordered_once(ledger, new_order):
    """A list that names a partition twice makes one order."""
    answers = ledger.orders.place([new_order(), new_order()], REQUEST)
    assert [outcome for _, outcome in answers] == [Outcome.ORDERED, Outcome.JOINED]


@pytest.mark.parametrize(
    ("state", "options", "idempotency_key", "expected"),
    [
        (State.STORED, {}, "other", Outcome.REUSED),
        (State.STORED, {"resubmit_rejected": True}, "other", Outcome.REUSED),
        (State.STORED, {"regenerate": True}, "other", Outcome.ORDERED),
        (State.STORED, {"regenerate": True}, "backfill-1", Outcome.REUSED),
        (State.REJECTED, {}, "other", Outcome.SKIPPED),
        (State.REJECTED, {"regenerate": True}, "other", Outcome.SKIPPED),
        (State.REJECTED, {"resubmit_rejected": True}, "other", Outcome.ORDERED),
        (State.REJECTED, {"resubmit_rejected": True}, "backfill-1", Outcome.SKIPPED),
        (State.FAILED, {}, "other", Outcome.ORDERED),
        (State.FAILED, {}, "backfill-1", Outcome.ORDERED),
    ],
)
def test_an_ended_order_answers_as_its_end_says(ledger, new_order, state, options, idempotency_key, expected):
    """A stored order is reused and a rejected one skipped, unless another key asks for more."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    finish(ledger, first, state)
    request = OrderRequest(idempotency_key=idempotency_key, run_id="run-2", **options)
    [existing] = ledger.orders.existing_orders([new_order()], request)
    assert (existing[1] if existing else Outcome.ORDERED) is expected
    [(order, outcome)] = ledger.orders.place([new_order()], request)
    assert outcome is expected
    assert order.attempt == (2 if expected is Outcome.ORDERED else 1)


@pytest.mark.parametrize("charged", [40_000, None])
def test_a_failure_that_was_charged_is_only_paid_for_again_on_request(ledger, new_order, charged):
    """A failed prompt is ordered again when its points came back; else only on an explicit request."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    finish(ledger, first, State.FAILED, charged)
    for idempotency_key in ("backfill-1", "other"):
        [(order, outcome)] = ledger.orders.place(
            [new_order()], OrderRequest(idempotency_key=idempotency_key, run_id="r")
        )
        assert (order.order_id, outcome) == (first.order_id, Outcome.SKIPPED)
    explicit = OrderRequest(idempotency_key="other", run_id="r", resubmit_rejected=True)
    assert ledger.orders.place([new_order()], explicit)[0][1] is Outcome.ORDERED


@pytest.mark.parametrize(
    ("option", "end", "answer"),
    [("regenerate", State.STORED, Outcome.REUSED), ("resubmit_rejected", State.REJECTED, Outcome.SKIPPED)],
)
def test_a_request_that_joined_an_order_is_answered_by_it(ledger, new_order, clock, option, end, answer):
    """A run that joined an open order pays for nothing when it is retried; a later request does."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    joining = OrderRequest(idempotency_key="joining", run_id="r", **{option: True})
    assert ledger.orders.place([new_order()], joining) == [(first, Outcome.JOINED)]
    clock.forward(seconds=1)
    finish(ledger, first, end)
    assert ledger.orders.existing_orders([new_order()], joining)[0][1] is answer
    assert ledger.orders.place([new_order()], joining)[0][1] is answer
    later = OrderRequest(idempotency_key="later", run_id="r", **{option: True})
    assert ledger.orders.place([new_order()], later)[0][1] is Outcome.ORDERED


def test_a_request_that_joined_an_order_is_answered_by_its_next_attempt(ledger, new_order, clock):
    """After vendor trouble the next attempt answers all requests that joined the first one."""
    ledger.orders.place([new_order()], REQUEST)
    joining = OrderRequest(idempotency_key="joining", run_id="r", regenerate=True)
    ledger.orders.place([new_order()], joining)
    clock.forward(seconds=1)
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None)
    order = ledger.tasks.submitted(claimed, actor="w", due_at=clock(), task={"task_id": "t"})
    ended = {"task_id": "t", "points_charged": 0}
    _, again = ledger.tasks.ended(
        order, State.FAILED, actor="w", error_class="vendor", reason="x", task=ended, retry_at=clock()
    )
    finish(ledger, again, State.STORED)
    assert ledger.orders.place([new_order()], joining)[0][1] is Outcome.REUSED


def test_only_what_existed_when_the_request_was_made_is_paid_for_again(ledger, new_order, clock):
    """A video that another run made since then answers every retry, however late."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    created_at = clock()
    clock.forward(hours=1)
    stored = finish(ledger, first, State.STORED)
    clock.forward(hours=1)
    for key, created, outcome in (
        ("created before", created_at, Outcome.REUSED),
        ("clock ahead", clock() + timedelta(days=1), Outcome.ORDERED),
    ):
        request = OrderRequest(idempotency_key=key, run_id="r", created_at=created, regenerate=True)
        assert ledger.orders.place([new_order()], request)[0][1] is outcome
    clock.forward(hours=1)
    again = OrderRequest(idempotency_key="created before", run_id="retry", regenerate=True)
    ahead = ledger.queries.find()[-1]
    finish(ledger, ahead, State.STORED)
    assert ledger.orders.place([new_order()], again)[0][1] is Outcome.REUSED
    assert stored.attempt == 1


def test_a_limit_counts_all_tries_of_a_request(ledger, new_order):
    """The orders of the first try leave less for its retries; another request has a limit of its own."""
    limited = OrderRequest(idempotency_key="c", run_id="r", max_points=8_000_000)
    ledger.orders.place([new_order("a"), new_order("b", estimated_points=3_000_000)], limited)
    assert ledger.orders.remaining_points(limited) == 1_000_000
    with pytest.raises(BudgetExceededError):
        ledger.orders.place([new_order("c")], limited)
    other = dataclasses.replace(limited, idempotency_key="d")
    assert ledger.orders.place([new_order("c")], other)[0][1] is Outcome.ORDERED


def test_a_failed_regeneration_leaves_the_stored_video_current(ledger, new_order):
    """Without a request to regenerate, an older stored video answers even after a newer failure."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    finish(ledger, first, State.STORED)
    [(second, _)] = ledger.orders.place(
        [new_order()], OrderRequest(idempotency_key="again", run_id="r", regenerate=True)
    )
    finish(ledger, second, State.FAILED)
    [(order, outcome)] = ledger.orders.place([new_order()], OrderRequest(idempotency_key="third", run_id="r"))
    assert (order.order_id, outcome) == (first.order_id, Outcome.REUSED)


def test_a_video_that_cannot_be_fetched_is_never_paid_for_again(ledger, new_order, clock):
    """A paid order whose transfers keep failing is joined, also by a request that pays again."""
    ledger.orders.place([new_order()], REQUEST)
    [order] = ledger.claims.take("w", limit=1, max_in_flight=None)
    order = ledger.tasks.submitted(order, actor="w", due_at=clock(), task={"task_id": "t"})
    order = ledger.tasks.succeeded(order, actor="w", task={})
    for number in range(7):
        again = OrderRequest(idempotency_key=f"again {number}", run_id="r", regenerate=True)
        assert ledger.orders.place([new_order()], again) == [(order, Outcome.JOINED)]
        order = ledger.tasks.transfer_failed(order, actor="w", due_at=clock(), reason="the link is gone")
    assert ledger.orders.place([new_order()], REQUEST) == [(order, Outcome.JOINED)]


def test_a_stored_video_answers_before_one_that_cannot_be_fetched(ledger, new_order, clock):
    """A plain run reuses the stored video, and does not wait for one that cannot be fetched."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    stored = finish(ledger, first, State.STORED)
    lost = dataclasses.replace(
        first, order_id=2, attempt=2, state=State.SUCCEEDED, transfer_failures=MANY_TRANSFER_FAILURES
    )
    assert find_existing_order([stored, lost], REQUEST) == (stored, Outcome.REUSED)


def test_a_take_of_a_request_is_one_order_wherever_it_is_asked_for(ledger, new_order):
    """Partitions, of whatever set, that ask for the same share an order; each is given it."""
    wanted = [new_order(), new_order("dog", fingerprint="f-cat"), new_order(prompt_set="other")]
    placed = ledger.orders.place(wanted, REQUEST)
    assert [outcome for _, outcome in placed] == [Outcome.ORDERED, Outcome.JOINED, Outcome.JOINED]
    [order_id] = {order.order_id for order, _ in placed}
    links = ledger.reports.links(order_id)
    assert [(link.prompt_set, link.partition) for link in links] == [
        ("other", "cat"),
        ("spots", "cat"),
        ("spots", "dog"),
    ]


@pytest.mark.parametrize(
    "other", [{"fingerprint": "edited"}, {"take": 2}, {"scope": "spots/dog"}], ids=["edit", "take", "fresh"]
)
def test_another_request_or_take_or_a_fresh_prompt_is_another_order(ledger, new_order, other):
    """An edit, a further take and a fresh prompt have a video of their own, with keys of its own in S3."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    [(second, outcome)] = ledger.orders.place([new_order(**other)], REQUEST)
    assert outcome is Outcome.ORDERED
    assert ledger.orders.place([new_order(**other)], REQUEST) == [(second, Outcome.JOINED)]
    names = ("fingerprint", "take", "attempt")
    assert [getattr(first, name) for name in names] != [getattr(second, name) for name in names]


def test_the_video_of_a_fresh_prompt_answers_where_there_is_no_other(ledger, new_order):
    """A prompt that is no longer fresh keeps its video; one that is fresh is answered by no other scope."""
    [(own, _)] = ledger.orders.place([new_order(scope="spots/cat")], REQUEST)
    assert ledger.orders.place([new_order()], REQUEST) == [(own, Outcome.JOINED)]
    [(another, outcome)] = ledger.orders.place([new_order(scope="other/cat")], REQUEST)
    assert (another.attempt, outcome) == (2, Outcome.ORDERED)


def test_a_fresh_prompt_is_ordered_beside_one_that_is_answered(ledger, new_order):
    """An order that answers another prompt of the same run says nothing about a fresh one."""
    [(order, _)] = ledger.orders.place([new_order()], REQUEST)
    wanted = [new_order(), new_order("dog", fingerprint="f-cat", scope="spots/dog")]
    placed = ledger.orders.place(wanted, REQUEST, quoted={order.order_id})
    assert [outcome for _, outcome in placed] == [Outcome.JOINED, Outcome.ORDERED]


def test_a_queued_order_is_sent_with_the_links_that_were_signed_last(ledger, new_order):
    """A queued order is sent with the links that were signed last, since older signatures may expire."""
    first, again = (
        new_order(request={"prompt": "cat", "image_urls": [f"https://x/a.png?X-Amz-Signature={day}"]})
        for day in (1, 2)
    )
    ledger.orders.place([first], REQUEST)
    assert ledger.orders.place([again], REQUEST)[0][0].request == again.request
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None)
    ledger.orders.place([first], REQUEST)
    assert ledger.queries.get(claimed.order_id).request == again.request


def test_what_was_quoted_as_answered_is_not_ordered(ledger, new_order):
    """An order that ends between quote and order leaves its prompt without one, as nothing was checked."""
    [(order, _)] = ledger.orders.place([new_order()], REQUEST)
    ended = finish(ledger, order, State.FAILED)
    later = OrderRequest(idempotency_key="later", run_id="r")
    assert ledger.orders.place([new_order()], later, quoted={order.order_id}) == [(ended, Outcome.SKIPPED)]
    [(again, outcome)] = ledger.orders.place([new_order()], later)
    assert (again.attempt, outcome) == (2, Outcome.ORDERED)


@pytest.mark.long
def test_many_partitions_are_placed_in_their_order(ledger, new_order):
    """Placing works in chunks and answers in the order of the request."""
    wanted = [new_order(f"p{number}") for number in range(1201)]
    answers = ledger.orders.place(wanted, REQUEST)
    assert [order.partition for order, _ in answers] == [new.partition for new in wanted]
    assert {outcome for _, outcome in ledger.orders.place(wanted, REQUEST)} == {Outcome.JOINED}


def test_concurrent_requests_make_one_order_each(ledger, new_order):
    """Eight requests at once for the same twenty prompts make twenty orders."""
    wanted = [new_order(f"p{number}") for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        rounds = list(
            pool.map(
                lambda n: ledger.orders.place(
                    wanted, OrderRequest(idempotency_key=f"c{n}", run_id="r", regenerate=True)
                ),
                range(8),
            )
        )
    ordered = [outcome for answers in rounds for _, outcome in answers if outcome is Outcome.ORDERED]
    assert len(ordered) == 20
    assert sum(count.orders for count in ledger.workload.counts().values()) == 20
