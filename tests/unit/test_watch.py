"""What a waiting run waits for: every order ends once for it, by whoever's work."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from ledger_states_support import make_order

from seedance_dagster.engine.events import Delayed, Ended, Stored, Submitted
from seedance_dagster.engine.runtime.watch import OrderWatch
from seedance_dagster.ledger.order import State
from seedance_dagster.media.video import thumbnail
from seedance_dagster.storage.s3 import StoreError


class Ledger:
    """A ledger that knows how some orders stand."""

    def __init__(self, **states: State) -> None:
        self.states = {int(name[1:]): state for name, state in states.items()}
        self.attempts: dict[int, int] = {}

    def orders(self, order_ids):
        return [make_order(each, state=self.states.get(each, State.SUBMITTED)) for each in order_ids]

    def next_attempt(self, order):
        again = self.attempts.get(order.order_id)
        return None if again is None else make_order(again, attempt=2, state=State.QUEUED)


def waiting_for(ledger: Ledger, *order_ids: int, poster: bytes | None = None) -> OrderWatch:
    def get_bytes(key: str) -> bytes:
        if poster is None:
            raise StoreError("no such object")
        return poster

    return OrderWatch(SimpleNamespace(ledger=ledger, store=SimpleNamespace(get_bytes=get_bytes)), order_ids)


def looked(waiting: OrderWatch) -> list[object]:
    async def look() -> list[object]:
        return [event async for event in waiting.look()]

    return asyncio.run(look())


def test_waiting_for_nothing_is_over():
    """A run without orders has nothing to wait for."""
    waiting = waiting_for(Ledger())
    assert waiting.over
    assert looked(waiting) == []


def test_orders_are_waited_for_once_each_and_so_many_at_a_time():
    """An id counts once, and a query never gets more than fits."""
    waiting = waiting_for(Ledger(), *range(6_000), 1, 2)
    assert waiting.pending() == list(range(5_000))


@pytest.mark.parametrize("end", [lambda order: Stored(order, None), Ended])
def test_an_end_is_told_once(end):
    """What our own work ended is told, and not again by whoever else says so."""
    waiting = waiting_for(Ledger(), 1, 2)
    assert waiting.ends(end(make_order(1)))
    assert not waiting.ends(end(make_order(1)))
    assert not waiting.over
    assert waiting.ends(end(make_order(2)))
    assert waiting.over


def test_what_ends_nothing_is_always_told():
    """A submission or a delay is news, whatever it is waited for."""
    waiting = waiting_for(Ledger(), 1)
    assert waiting.ends(Submitted(make_order(1)))
    assert waiting.ends(Delayed(None, "the ledger is locked"))
    assert waiting.pending() == [1]


def test_an_order_that_is_given_up_is_waited_for_no_longer():
    """A surprise in the handling of an order must not let a run wait for ever."""
    waiting = waiting_for(Ledger(), 1)
    waiting.give_up(1)
    waiting.give_up(1)
    assert waiting.over


def test_a_look_tells_what_ended_elsewhere():
    """Stored, rejected and failed orders end; those on their way are waited for; each is told once."""
    ledger = Ledger(o1=State.STORED, o2=State.REJECTED, o3=State.FAILED, o4=State.UNCERTAIN)
    waiting = waiting_for(ledger, 1, 2, 3, 4, 5)
    told = looked(waiting)
    assert [(type(event), event.order.order_id) for event in told] == [(Stored, 1), (Ended, 2), (Ended, 3)]
    assert waiting.pending() == [4, 5]
    assert looked(waiting) == []


def test_a_next_attempt_takes_the_place_of_a_failed_one():
    """Vendor trouble with a retry left ends nothing."""
    ledger = Ledger(o1=State.FAILED)
    ledger.attempts[1] = 9
    waiting = waiting_for(ledger, 1)
    assert looked(waiting) == []
    assert waiting.pending() == [9]


def test_a_poster_that_cannot_be_read_or_drawn_costs_no_event():
    """The video is there: it is told with a thumbnail if there is one, and without if not."""
    from media_support import picture

    from seedance_dagster.media import video

    jpeg = video._jpeg(picture(64, 48), 64, quality=4)
    for poster, shown in ((None, None), (b"no picture", None), (jpeg, thumbnail(jpeg))):
        [event] = looked(waiting_for(Ledger(o1=State.STORED), 1, poster=poster))
        assert event.thumbnail_jpeg == shown
