"""Placing orders for videos that reviewers discarded."""

from __future__ import annotations

import pytest
from order_factory import OrderFactory

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest, Outcome

pytestmark = pytest.mark.each_database


@pytest.fixture
def orders(ledger, clock) -> OrderFactory:
    return OrderFactory(ledger, clock)


def again(*discarded: int, **options: bool) -> OrderRequest:
    """Return another request, for which these orders' videos were discarded."""
    return OrderRequest(idempotency_key="again", run_id="r", discarded=frozenset(discarded), **options)


def test_only_discarded_videos_are_generated_again(orders, ledger, new_order):
    """A video that was discarded is ordered again once for a request, and the others are reused."""
    _, bad = orders.make_many(State.STORED, "good", "bad")
    wanted, request = [new_order("good"), new_order("bad")], again(bad.order_id)
    [(_, kept), (second, ordered)] = ledger.orders.place(wanted, request)
    assert (kept, ordered, second.attempt) == (Outcome.REUSED, Outcome.ORDERED, 2)
    orders.advance(second, State.REJECTED)
    outcomes = [outcome for _, outcome in ledger.orders.place(wanted, request)]
    assert outcomes == [Outcome.REUSED, Outcome.SKIPPED]


def test_an_older_video_does_not_stand_in_for_a_discarded_one(orders, ledger, new_order):
    """The video before a discarded one is not shown in its place: a new one is ordered."""
    orders.make(State.STORED, "cat")
    regenerate = OrderRequest(idempotency_key="b", run_id="r", regenerate=True)
    [(second, _)] = ledger.orders.place([new_order("cat")], regenerate)
    newest = orders.advance(second, State.STORED)
    [(third, outcome)] = ledger.orders.place([new_order("cat")], again(newest.order_id))
    assert (third.attempt, outcome) == (3, Outcome.ORDERED)
