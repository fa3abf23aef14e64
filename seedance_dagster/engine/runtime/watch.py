"""The orders that a run waits for, whoever brings them to their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta

from seedance_dagster.engine.events import Ended, Event, Stored
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import stored_event
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.threads import in_thread

_CHUNK = 5000  # ids in one query


async def watch_orders(services: Services, order_ids: Sequence[int]) -> OrderWatch:
    """Return the watch over some orders, and over the open orders whose videos they wait for."""
    sources = await in_thread(services.ledger.queries.open_sources, order_ids)
    return OrderWatch(services, order_ids, sources)


class OrderWatch:
    """The orders of one run that have not ended yet, next attempts included.

    Attributes:
        videos: The number of videos that the run waits for.
        stored: How many of them are stored by now.
        needs_slots: True while some of them are queued and others' tasks hold all slots.
    """

    def __init__(self, services: Services, order_ids: Iterable[int], sources: Iterable[int] = ()) -> None:
        self._services = services
        self._sources = frozenset(sources)
        self._pending = dict.fromkeys([*self._sources, *order_ids])
        self.videos = len(self._pending.keys() - self._sources)
        self.stored = 0
        self._reporting: set[int] = set()
        self.needs_slots = False

    @property
    def over(self) -> bool:
        """Return True when nothing is left to wait for or to report."""
        return not self._pending and not self._reporting

    def pending(self) -> list[int]:
        """Return the ids to work on next."""
        return list(self._pending)[:_CHUNK]

    def workable(self) -> list[int] | None:
        """Return the ids to poll and store next; None for everybody's, while that may free a slot."""
        return None if self.needs_slots else self.pending()

    def ends(self, event: Event) -> bool:
        """Note an event of this worker's own; return False when it was reported before."""
        if isinstance(event, Stored | Ended):
            known = event.order.order_id in self._pending
            self._pending.pop(event.order.order_id, None)
            if known:
                self._count(event)
            return known
        return True

    def _count(self, event: Event) -> None:
        if isinstance(event, Stored) and event.order.order_id not in self._sources:
            self.stored += 1

    def give_up(self, order_id: int) -> None:
        """Stop waiting for an order whose handling failed unexpectedly."""
        self._pending.pop(order_id, None)

    async def ended_elsewhere(self) -> AsyncIterator[Event]:
        """Yield the ends that other workers brought about; each is over when the next is asked for."""
        for order in await in_thread(self._services.ledger.queries.get_many, list(self._pending)):
            if (
                order.state in OPEN
                or order.order_id not in self._pending
                or self._may_be_fetched_again(order)
            ):
                continue
            del self._pending[order.order_id]
            self._reporting.add(order.order_id)
            try:
                event = await self._ended(order)
                if event is not None:
                    yield event
                    self._count(event)
            except LedgerUnavailableError:
                self._pending[order.order_id] = None
                raise
            finally:
                self._reporting.discard(order.order_id)

    def _may_be_fetched_again(self, order: Order) -> bool:
        """Return True while a signed video's worker may still find that another copy overwrote it."""
        if order.credential is None or order.stored_at is None:
            return False
        wait = timedelta(seconds=self._services.policy.pacing.signed_s)
        return self._services.clock() - order.stored_at < wait

    async def _ended(self, order: Order) -> Event | None:
        """Return the event of an order's end; None where its next attempt is watched instead."""
        if order.state is State.STORED:
            return await in_thread(stored_event, self._services.store, order)
        if order.state is State.FAILED:
            again = await in_thread(self._services.ledger.queries.next_attempt, order)
            if again is not None:
                self._pending[again.order_id] = None
                return None
        return Ended(order)
