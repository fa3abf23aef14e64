"""A waiting run's orders: each one ends once for it, whoever worked on it."""

from __future__ import annotations

import asyncio

import pytest
from factories import make_order
from harness import no_client
from media_support import picture
from stores import MemoryStore

from seedance_dagster.engine.events import Delayed, Ended, Stored, Submitted
from seedance_dagster.engine.runtime.watch import OrderWatch
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import State
from seedance_dagster.media.pictures import thumbnail, to_jpeg


@pytest.fixture
def watch(ledger, clock):
    """Watches some orders; reading any poster gives the same bytes, or fails where there are none."""

    def make(*order_ids: int, poster: bytes | None = None) -> OrderWatch:
        store = MemoryStore()
        if poster is not None:
            store.objects |= {str(order.poster_key): poster for order in ledger.queries.get_many(order_ids)}
        services = Services(ledger=ledger, open_client=no_client, store=store, clock=clock)
        return OrderWatch(services, order_ids)

    return make


@pytest.fixture
def order(orders):
    """Places an order and brings it to a state; returns its id."""
    return lambda partition, state, **details: orders.make(state, partition, **details).order_id


def look(watched: OrderWatch) -> list[object]:
    async def collect() -> list[object]:
        return [event async for event in watched.ended_elsewhere()]

    return asyncio.run(collect())


def test_a_watch_over_no_orders_is_over(watch):
    """A run without orders has nothing to wait for."""
    assert watch().over
    assert look(watch()) == []


def test_each_order_is_watched_once(watch):
    """An order that is given twice is watched once."""
    assert watch(1, 2, 3, 1, 2).pending() == [1, 2, 3]


@pytest.mark.parametrize("end", [lambda order: Stored(order, None), Ended])
def test_an_end_is_reported_once(watch, end):
    """An end of this worker's own is reported once, whoever else reports it too."""
    watched = watch(1, 2)
    assert watched.ends(end(make_order(1)))
    assert not watched.ends(end(make_order(1)))
    assert not watched.over
    assert watched.ends(end(make_order(2)))
    assert watched.over


def test_an_event_that_ends_nothing_is_always_reported(watch):
    """A submission or a delay is reported, whichever orders are watched."""
    watched = watch(1)
    assert watched.ends(Submitted(make_order(1)))
    assert watched.ends(Delayed(None, "the ledger is locked"))
    assert watched.pending() == [1]


def test_an_order_that_is_given_up_is_no_longer_watched(watch):
    """An unexpected error in the handling of an order must not let a run wait forever."""
    watched = watch(1)
    watched.give_up(1)
    watched.give_up(1)
    assert watched.over


def test_a_look_reports_what_ended_elsewhere(watch, order):
    """Stored, rejected and failed orders end; the others are still watched; each is reported once."""
    states = (State.STORED, State.REJECTED, State.FAILED, State.UNCERTAIN, State.SUBMITTED, State.QUEUED)
    ids = [order(state.value, state) for state in states]
    watched = watch(*ids)
    events = look(watched)
    assert [(type(event), event.order.order_id) for event in events] == [
        (Stored, ids[0]),
        (Ended, ids[1]),
        (Ended, ids[2]),
    ]
    assert watched.pending() == ids[3:]
    assert look(watched) == []


def test_a_watch_is_not_over_before_the_last_end_is_reported(watch, order):
    """The last video, stored by another worker, is reported before the wait ends."""
    watched = watch(order("a", State.STORED))

    async def collect() -> list[bool]:
        return [watched.over async for _ in watched.ended_elsewhere()]

    assert (asyncio.run(collect()), watched.over) == ([False], True)


def test_a_next_attempt_takes_the_place_of_a_failed_one(watch, order, orders, ledger, clock):
    """An order that failed with retries left goes on as its next attempt; without, it has ended."""
    first = order("a", State.QUEUED, retries=1)
    watched = watch(first)
    assert look(watched) == []
    orders.advance(ledger.queries.get(first), State.FAILED, retry_at=clock())
    assert look(watched) == []
    [second] = watched.pending()
    assert second != first
    orders.advance(ledger.queries.get(second), State.FAILED)
    [event] = look(watched)
    assert isinstance(event, Ended)
    assert event.order.attempt == 2
    assert watched.over


def test_an_end_that_could_not_be_reported_is_reported_later(watch, order, monkeypatch):
    """A ledger that becomes unavailable in the middle of a look loses no event."""
    watched = watch(order("a", State.STORED))

    async def unavailable(_watch: OrderWatch, _order: object) -> None:
        raise LedgerUnavailableError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(OrderWatch, "_ended", unavailable)
        with pytest.raises(LedgerUnavailableError):
            look(watched)
    assert not watched.over
    assert len(look(watched)) == 1


def test_a_poster_that_cannot_be_read_or_drawn_costs_no_event(watch, order):
    """The video is stored: it is reported with a thumbnail if there is one, and without if not."""
    order_id = order("a", State.STORED)
    jpeg = to_jpeg(picture(64, 48), 64, quality=4)
    for poster, shown in ((None, None), (b"no picture", None), (jpeg, thumbnail(jpeg))):
        [event] = look(watch(order_id, poster=poster))
        assert event.thumbnail_jpeg == shown
