"""The orders that a run waits for, whichever worker ends them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta

from seedance_dagster.engine.events import Ended, Event, Stored
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import stored_event
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.threads import in_thread

_ALL_S = 60.0  # between two reads of the states of all orders, in case a change was not seen in the journal


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
        self._states: dict[int, State] = {}
        self._seen = 0
        self._all_read_at: float | None = None

    @property
    def over(self) -> bool:
        """True when nothing is left to wait for or to report."""
        return not self._pending and not self._reporting

    def pending(self) -> list[int]:
        """Return the ids of the orders that have not ended."""
        return list(self._pending)

    def states(self) -> Counter[State]:
        """Return how many of them are in each state, as of the last look."""
        return Counter(self._states[order_id] for order_id in self._pending if order_id in self._states)

    def workable(self) -> list[int] | None:
        """Return the ids to poll and store; None for those of all runs, while that may free a slot."""
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
        """Yield the events of orders that other workers ended; one is handled when the next is asked for."""
        await self._look()
        ended = [
            order_id for order_id in self._pending if self._states.get(order_id, State.QUEUED) not in OPEN
        ]
        for order in await in_thread(self._services.ledger.queries.get_many, ended):
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

    async def _look(self) -> None:
        """Read the states that changed since the last look from the journal, of all orders: few change."""
        journal, now = self._services.ledger.journal, time.monotonic()
        if self._all_read_at is None or now - self._all_read_at > _ALL_S:
            changes = await in_thread(journal.states, self.pending())
            self._all_read_at = now
        else:
            changes = await in_thread(journal.changes, self._seen)
        self._seen = changes.up_to
        self._states |= {number: state for number, state in changes.states.items() if number in self._pending}

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
                self._states[again.order_id] = again.state
                return None
        return Ended(order)
