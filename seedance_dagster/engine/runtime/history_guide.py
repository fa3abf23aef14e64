"""The vendor's history as a guide to the next polls, while too many tasks are in flight for GETs alone.

It decides which GET is sent first, and nothing else: an order's state follows from the GET alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.api.wire import HistoryPage
from seedance_dagster.engine.account import of_account
from seedance_dagster.engine.polling.page import read_page
from seedance_dagster.engine.polling.reliability import Belief
from seedance_dagster.engine.polling.sweep import PAGE_SIZE, Span, page_wait_s, spans
from seedance_dagster.engine.runtime.guide_memory import GuideMemory
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.threads import in_thread

_log = logging.getLogger(__name__)

_READERS = 4  # pages at once
_WITH_YOUNG = 5  # every fifth sweep also reads tasks that are too young to have ended
_LEASE = timedelta(minutes=1)
_ENOUGH_PAGES, _LEAST_SHOWN = 5, 0.1


@dataclass
class _Sweep:
    """One reading of those parts of the history that have running tasks."""

    spans: list[Span]
    pages: int = 0
    made: int = 0
    shown: int = 0

    @property
    def is_useless(self) -> bool:
        """True where pages show next to none of the tasks that were made."""
        return self.pages >= _ENOUGH_PAGES and self.shown < _LEAST_SHOWN * self.made


class HistoryGuide:
    """The reader of the history beside the polls of one worker; `wake` makes the worker look for due polls.

    Attributes:
        is_busy: True until it knows that there is nothing to read, and while it reads pages that help.
    """

    def __init__(self, worker: Worker, wake: Callable[[], None]) -> None:
        self._worker = worker
        self._wake = wake
        self._ledger = worker.services.ledger
        self._pacing = worker.services.policy.pacing
        self._memory = GuideMemory(worker)
        self._sweeps = 0
        self._leased_at: datetime | None = None
        self.is_busy = True

    async def run(self) -> None:
        """Read the history again and again until cancelled; trouble only means fewer hints."""
        clock = self._worker.services.clock
        while True:
            began_at = clock()
            try:
                await self.read_once()
            except* LedgerUnavailableError as errors:
                _log.warning("the history does not guide polls for now: %s", errors.exceptions[0])
            except* Exception:  # noqa: BLE001  polls go on without it
                _log.exception("unexpected error in reading the history")
            passed_s = (clock() - began_at).total_seconds()
            await asyncio.sleep(min(max(1.0, self._pacing.sweep_s - passed_s), self._pacing.sweep_s))

    async def read_once(self) -> None:
        """Read the history once, where GETs alone are too slow and no other worker reads it."""
        worker = self._worker
        try:
            await worker.plan.refresh(worker.client.requests_per_second)
            if worker.plan.load.is_heavy(self._pacing) and await self._lease():
                await self._sweep()
        finally:
            self.is_busy = False

    async def _sweep(self) -> None:
        """Read the history once, then release the lease."""
        try:
            await self._memory.recall()
            if not self._memory.rests:
                sweep = _Sweep(await in_thread(self._spans))
                async with asyncio.TaskGroup() as group:
                    for _ in range(_READERS):
                        group.create_task(self._read(sweep))
                await self._memory.save(at_once=True)
        finally:
            self._leased_at = None
            with contextlib.suppress(LedgerUnavailableError):
                self._ledger.leases.release(self._lease_name, self._worker.name)

    def _spans(self) -> list[Span]:
        """Return the spans to read now, without those of tasks that cannot have ended yet."""
        young_s = self._worker.plan.times.shortest if self._sweeps % _WITH_YOUNG else 0.0
        self._sweeps += 1
        submitted_before = self._worker.services.clock() - timedelta(seconds=young_s)
        account = self._worker.client.account_name
        running = self._ledger.polls.running(account, submitted_before=submitted_before)
        return spans(running, before=self._memory.cursor)

    async def _read(self, sweep: _Sweep) -> None:
        """Read spans until none is left; several readers share them."""
        memory, account = self._memory, self._worker.client.account_name
        while sweep.spans:
            span = sweep.spans.pop(0)
            made = await in_thread(self._ledger.polls.made, account, span.start, span.end)
            for number in range(1, span.pages(made) + 1):
                self.is_busy = memory.record.belief is not Belief.REFUTED
                rate = self._worker.client.requests_per_second
                await asyncio.sleep(_READERS * page_wait_s(memory.record, rate))
                page = await self._page(span, number)
                sweep.pages += 1
                sweep.made += min(made, PAGE_SIZE)
                sweep.shown += 0 if page is None else await self._follow(page)
                if page is None or sweep.is_useless:
                    await memory.rest()
                    sweep.spans.clear()
                    return
                if len(page.rows) < PAGE_SIZE:
                    break
            memory.cursor = span.start
            await memory.save()
            if not await self._lease():
                sweep.spans.clear()

    async def _page(self, span: Span, number: int) -> HistoryPage | None:
        """Return a page; None when the vendor refuses it."""
        try:
            return await self._worker.client.history(
                start=span.start, end=span.end, page=number, page_size=PAGE_SIZE
            )
        except SeedanceError as error:
            _log.warning("the history does not guide polls for now: %s", error)
            return None

    async def _follow(self, page: HistoryPage) -> int:
        """Reschedule polls by the suggestions of a page; return how many of its tasks are ours."""
        worker, memory, polls = self._worker, self._memory, self._ledger.polls
        known = await in_thread(polls.followed, [row.task_id for row in page.rows])
        suggestion = read_page(
            page.rows,
            known,
            now=worker.services.clock(),
            load=worker.plan.load,
            pacing=self._pacing,
            record=memory.record,
        )
        if hinted := await in_thread(polls.first, suggestion.first):
            worker.plan.hint(hinted)
            self._wake()
        await in_thread(polls.later, suggestion.later, suggestion.until)
        memory.record += suggestion.checked + worker.plan.take_checked()
        return len(known)

    @property
    def _lease_name(self) -> str:
        return of_account("history", self._worker)

    async def _lease(self) -> bool:
        """Take or renew the right to read; return False while another worker has it."""
        now = self._worker.services.clock()
        if self._leased_at is not None and abs(now - self._leased_at) < _LEASE / 3:
            return True
        leases, lease_s = self._ledger.leases, _LEASE.total_seconds()
        acquired = await in_thread(leases.acquire, self._lease_name, self._worker.name, seconds=lease_s)
        self._leased_at = now if acquired else None
        return acquired
