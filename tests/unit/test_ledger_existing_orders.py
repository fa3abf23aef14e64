"""The earlier order that answers a request."""

from __future__ import annotations

import dataclasses

import pytest

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest, Outcome, find_existing_order
from seedance_dagster.ledger.verdict import Judgement, Verdict

REQUEST = OrderRequest(idempotency_key="backfill-1", run_id="run-1")
REGENERATE = OrderRequest(idempotency_key="again", run_id="run-2", regenerate=True)
LATER = OrderRequest(idempotency_key="later", run_id="run-3")


def test_the_newest_open_order_is_joined_first(ledger, new_order):
    """With several attempts the open one answers, not the stored one."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    newer = dataclasses.replace(first, order_id=2, attempt=2)
    stored = dataclasses.replace(first, state=State.STORED)
    assert find_existing_order([stored, newer], REQUEST) == (newer, Outcome.JOINED)


@pytest.fixture
def shared(ledger, orders, new_order, clock):
    """Two sets show one video, which the first has accepted; the second orders the request again."""
    first = orders.make(State.STORED, "cat", fingerprint="f")
    ledger.orders.place([new_order("dog", prompt_set="others", fingerprint="f")], REQUEST)
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED)}, reviewer="ann")
    clock.forward(seconds=1)
    [(again, outcome)] = ledger.orders.place(
        [new_order("dog", prompt_set="others", fingerprint="f")], REGENERATE
    )
    assert outcome is Outcome.ORDERED
    return first, again


@pytest.mark.each_database
@pytest.mark.parametrize("state", [State.QUEUED, State.SUBMITTED, State.STORED])
def test_a_video_stays_where_another_set_orders_it_again(ledger, orders, new_order, shared, state):
    """A plain run of the first set keeps its accepted video, before and after the other one is stored."""
    first, again = shared
    orders.advance(again, state)
    [(order, outcome)] = ledger.orders.place([new_order("cat", fingerprint="f")], LATER)
    assert (order.order_id, outcome) == (first.order_id, Outcome.REUSED)
    answers = ledger.orders.existing_answers("spots", {"cat": PartitionRequest("f")}, LATER)
    assert answers == {"cat": (order, outcome)}
    [video] = ledger.videos.current("spots")
    assert (video.order.order_id, video.verdict) == (first.order_id, Verdict.ACCEPTED)
    [other] = ledger.videos.current("others")
    assert other.order.order_id == (again if state is State.STORED else first).order_id


def test_a_partition_without_a_video_gets_the_newest(ledger, orders, new_order, shared):
    """Nothing is kept for a partition that never had one of them."""
    newest = orders.advance(shared[1], State.STORED)
    [(order, _)] = ledger.orders.place([new_order("hen", fingerprint="f")], LATER)
    assert order.order_id == newest.order_id


@pytest.mark.parametrize("terms", ["regenerate", "discarded"])
def test_who_pays_again_takes_what_others_made_since(ledger, orders, new_order, shared, clock, terms):
    """A run that is asked for a new video is given the one of the other set, where that is new to it."""
    first, again = shared
    request = OrderRequest(
        idempotency_key="mine",
        run_id="r",
        created_at=clock(),
        **({"regenerate": True} if terms == "regenerate" else {"discarded": frozenset({first.order_id})}),
    )
    wanted = [new_order("cat", fingerprint="f")]
    assert ledger.orders.place(wanted, request) == [(again, Outcome.JOINED)]
    clock.forward(seconds=1)
    newest = orders.advance(again, State.STORED)
    assert ledger.orders.place(wanted, request)[0][0].order_id == newest.order_id
    [video] = ledger.videos.current("spots")
    assert (video.order.order_id, video.verdict) == (newest.order_id, Verdict.UNDECIDED)


def test_a_discarded_video_is_replaced_in_its_own_partition_alone(ledger, orders, new_order, clock):
    """Of two partitions with one request, that whose video was accepted keeps it."""
    first = orders.make(State.STORED, "cat", fingerprint="f")
    clock.forward(seconds=1)
    [(second, _)] = ledger.orders.place([new_order("dog", fingerprint="f")], REGENERATE)
    second = orders.advance(second, State.STORED)
    clock.forward(seconds=1)
    request = OrderRequest(idempotency_key="mine", run_id="r", discarded=frozenset({second.order_id}))
    wanted = [new_order("cat", fingerprint="f"), new_order("dog", fingerprint="f")]
    [(kept, reused), (third, ordered)] = ledger.orders.place(wanted, request)
    assert (kept.order_id, reused) == (first.order_id, Outcome.REUSED)
    assert (third.attempt, ordered) == (3, Outcome.ORDERED)
