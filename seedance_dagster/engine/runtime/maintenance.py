"""Maintenance of a run: it looks after orders that other workers left, and reports why orders wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from datetime import timedelta

from seedance_dagster.engine.account import remember_account
from seedance_dagster.engine.events import Delayed, Emit, Waiting
from seedance_dagster.engine.reconcile.reconcile import reconcile
from seedance_dagster.engine.runtime.sensor_ticks import sensor_trouble
from seedance_dagster.engine.runtime.time_left import time_left
from seedance_dagster.engine.runtime.waiting import describe_progress, describe_wait, waits_for_slots
from seedance_dagster.engine.runtime.watch import OrderWatch
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import OPEN
from seedance_dagster.threads import in_thread

_log = logging.getLogger(__name__)


class Maintenance:
    """Rounds of one worker beside its orders; an error in one does not end the run.

    `troubles` returns the reasons why stages cannot look for work at the moment.
    """

    def __init__(
        self, worker: Worker, watch: OrderWatch | None, emit: Emit, troubles: Callable[[], list[str]]
    ) -> None:
        self._worker = worker
        self._ledger = worker.services.ledger
        self._pacing = worker.services.policy.pacing
        self._watch = watch
        self._emit = emit
        self._troubles = troubles
        self._account_read_at = self._wait_reported_at = time.monotonic()
        self._reported: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Do rounds until cancelled."""
        while True:
            await self.run_once()
            await asyncio.sleep(self._pacing.maintenance_s)

    async def run_once(self) -> None:
        """Do one round; report trouble with the ledger, and why orders wait, when it is new."""
        try:
            reasons = await self._round()
        except LedgerUnavailableError as error:
            reasons = (str(error),)
        except Exception:  # noqa: BLE001  a surprise here must not let a run wait forever
            _log.exception("unexpected error in maintenance")
            return
        for reason in sorted(set(reasons) - self._reported):
            await self._emit(Delayed(None, reason))
        self._reported = frozenset(reasons)

    async def _round(self) -> Collection[str]:
        await self._worker.return_orders()
        await in_thread(self._ledger.claims.expire, actor=self._worker.name)
        await reconcile(self._worker)
        if time.monotonic() - self._account_read_at > self._pacing.account_s:
            self._account_read_at = time.monotonic()
            await remember_account(self._worker)
        if self._watch is not None:
            async for event in self._watch.ended_elsewhere():
                await self._emit(event)
        throttle = await in_thread(self._worker.services.throttle)
        if self._watch is not None:
            await self._report_wait(self._watch, throttle)
        work = await in_thread(self._ledger.workload.actionable)
        return [*self._troubles(), *(throttle.reasons if work.to_submit else ())]

    async def _report_wait(self, watch: OrderWatch, throttle: Throttle) -> None:
        """Note whether the run needs slots that others hold, and report now and then what it waits for."""
        states = watch.states()
        in_flight = await in_thread(self._ledger.workload.in_flight)
        watch.needs_slots = waits_for_slots(states, throttle, in_flight)
        if not states or time.monotonic() - self._wait_reported_at < self._pacing.waiting_s:
            return
        self._wait_reported_at = time.monotonic()
        trouble = await in_thread(sensor_trouble, self._ledger, now=self._worker.services.clock())
        progress = describe_progress(
            watch.stored, watch.videos, await in_thread(self._time_left, watch, throttle)
        )
        await self._emit(Waiting(f"{progress}; {describe_wait(states, throttle, in_flight)}"))
        if trouble is not None:
            await self._emit(Waiting(trouble))

    def _time_left(self, watch: OrderWatch, throttle: Throttle) -> timedelta | None:
        kinds = self._ledger.workload.kinds_of(watch.pending())
        kinds = Counter({kind: count for kind, count in kinds.items() if kind[0] in OPEN})
        return time_left(self._ledger, kinds, throttle.slots)
