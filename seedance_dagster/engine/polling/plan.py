"""The plan of a worker's polls: the load, how long tasks take, and which hints are open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.polling.load import Load
from seedance_dagster.engine.polling.reliability import Reliability
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.work.render_times import Kind, RenderTimes
from seedance_dagster.threads import in_thread

_FRESH, _TIMES_FRESH = timedelta(seconds=10), timedelta(minutes=1)


class PollPlan:
    """The plan of one worker's polls.

    Attributes:
        load: The load at the last look.
        times: How long tasks took, at the last look.
        pacing: The waits under that load.
    """

    def __init__(self, ledger: Ledger, pacing: Pacing, clock: Callable[[], datetime]) -> None:
        self._ledger, self._usual, self._clock = ledger, pacing, clock
        self._look = asyncio.Lock()
        self._looked_at: datetime | None = None
        self._timed_at: datetime | None = None
        self._hinted: set[int] = set()
        self._checked = Reliability()
        self.load = Load(0, 1.0)
        self.times = RenderTimes()
        self.pacing = pacing

    async def refresh(self, per_second: float) -> None:
        """Look at the ledger again, unless that was done just now; raise `LedgerUnavailableError`.

        Args:
            per_second: Requests that all processes together may send.
        """
        async with self._look:
            now = self._clock()
            if self._looked_at is not None and abs(now - self._looked_at) < _FRESH:
                return
            if self._timed_at is None or abs(now - self._timed_at) >= _TIMES_FRESH:
                self.times = await in_thread(self._ledger.workload.render_times)
                self._timed_at = now
            self.load = Load(await in_thread(self._ledger.workload.in_flight), per_second)
            self.pacing = self.load.spread(self._usual)
            self._looked_at = now

    def expected_s(self, order: Order) -> float | None:
        """Return how long such a task took lately, in seconds; None when that is unknown."""
        return self.times.expected(Kind.of(order))

    def hint(self, order_ids: Iterable[int]) -> None:
        """Note orders whose tasks the history shows as ended: they are polled first."""
        self._hinted.update(order_ids)

    def check(self, order: Order, *, ended: bool) -> None:
        """Compare what a GET showed with the hint, if there was one."""
        if order.order_id in self._hinted:
            self._hinted.discard(order.order_id)
            self._checked += Reliability(confirmed=ended, refuted=not ended)

    def take_checked(self) -> Reliability:
        """Return the hints that were checked since the last call."""
        checked, self._checked = self._checked, Reliability()
        return checked
