"""The engine: lines of workers that submit, poll and collect, and the three ways in which they are run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from seedance_dagster.engine.account import remember_account
from seedance_dagster.engine.events import Delayed, Event
from seedance_dagster.engine.reconcile.reconcile import reconcile
from seedance_dagster.engine.runtime.maintenance import Maintenance
from seedance_dagster.engine.runtime.run_decision import decide_run
from seedance_dagster.engine.runtime.watch import OrderWatch
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import Collector
from seedance_dagster.engine.stages.poll import Poller
from seedance_dagster.engine.stages.stage import Stage, WorkerPool
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import Worker, working
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import Order
from seedance_dagster.threads import in_thread

_CHECK_S = 0.1  # how often the end is looked for
_UPKEEP_S = 2.0  # how often others' work is looked at
_UNREAD_EVENTS = 100  # workers wait while the reader is further behind

Emit = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True)
class PollReport:
    """What a tick's polling came to.

    Attributes:
        polled: Tasks looked at.
        finished: Of those, how many are over, well or not.
        troubles: What went wrong, in words, each once.
    """

    polled: int
    finished: int
    troubles: tuple[str, ...]


async def advance(
    services: Services,
    *,
    owner: str,
    only: Sequence[int] | None = None,
    time_box_s: float | None = None,
) -> AsyncIterator[Event]:
    """Submit, poll and collect, and tell what happens.

    Args:
        services: The engine's surroundings.
        owner: The worker's unique name.
        only: Order ids. Given, this works on them until all have ended, by whoever's work; without,
            on everything that is due, and ends when nothing is.
        time_box_s: Seconds after which nothing new is taken.

    Yields:
        Events as they happen; the work goes on while the caller deals with one. Closing the
        iterator stops the work, lets POSTs under way be answered, and releases the leases.
    """
    events: asyncio.Queue[Event | None] = asyncio.Queue(_UNREAD_EVENTS)

    async def produce() -> None:
        try:
            await _run(services, owner, events.put, only, time_box_s)
        finally:
            with contextlib.suppress(asyncio.QueueFull):
                events.put_nowait(None)

    producer = asyncio.create_task(produce())
    try:
        while not (producer.done() and events.empty()):
            getting = asyncio.create_task(events.get())
            await asyncio.wait({getting, producer}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                continue
            event = getting.result()
            if event is not None:
                yield event
        await producer
    finally:
        producer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({producer})


async def poll_due(services: Services, *, owner: str, time_box_s: float) -> PollReport:
    """Poll what is due and write what was learned to the ledger, inside a time box in seconds."""
    troubles: dict[str, None] = {}

    async def emit(event: Event) -> None:
        if isinstance(event, Delayed):
            troubles[event.reason] = None

    await in_thread(services.ledger.claims.expire, actor=owner)
    async with working(services, owner) as worker:
        await remember_account(worker)
        poller = Poller(worker, emit)
        floor = Pipeline(worker, time_box_s)
        floor.add(poller, services.policy.poll_workers)
        await floor.run(_at_once)
        settled = await reconcile(worker)
        troubles |= {order.error_message or "": None for order in settled.uncertain}
    return PollReport(poller.polled, poller.finished, tuple(troubles))


async def _at_once() -> bool:
    return True


class Pipeline:
    """Lines that wake each other, until nothing is left to do."""

    def __init__(
        self,
        worker: Worker,
        time_box_s: float | None,
        waiting: OrderWatch | None = None,
        emit: Emit | None = None,
    ) -> None:
        self._worker = worker
        self._lines: list[WorkerPool] = []
        self._deadline = None if time_box_s is None else time.monotonic() + time_box_s
        self._waiting = waiting
        self._emit = emit

    def add(self, station: Stage, workers: int) -> None:
        """Add a stage with a number of workers."""
        only = self._waiting.pending if self._waiting else lambda: None
        self._lines.append(WorkerPool(station, workers=workers, only=only, handled=self._handled))

    async def run(self, over: Callable[[], Awaitable[bool]]) -> None:
        """Run all stages until `over`."""
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(line.run(self._stopping)) for line in self._lines]
            while not await self._is_over(over):  # noqa: ASYNC110  the ledger says when, not an event
                await asyncio.sleep(_CHECK_S)
            for line in running:
                line.cancel()

    async def _is_over(self, over: Callable[[], Awaitable[bool]]) -> bool:
        # Idle afterwards too: what a line took meanwhile, the ledger no longer showed as free.
        return self._idle() and (self._stopping() or await over()) and self._idle()

    def _idle(self) -> bool:
        return all(line.idle for line in self._lines)

    def _stopping(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    async def _handled(self, order: Order, fault: Exception | None) -> None:
        if isinstance(fault, LedgerUnavailableError):
            self._worker.unwritten.add(order.order_id)
        elif fault is not None and self._emit is not None:
            await self._emit(Delayed(order, f"{order.partition}: internal error: {type(fault).__name__}"))
            if self._waiting is not None:
                self._waiting.give_up(order.order_id)
        for line in self._lines:
            line.wake()


async def _run(
    services: Services, owner: str, emit: Emit, only: Sequence[int] | None, time_box_s: float | None
) -> None:
    waiting = None if only is None else OrderWatch(services, only)

    async def told_once(event: Event) -> None:
        if waiting is None or waiting.ends(event):
            await emit(event)

    async def nothing_due() -> bool:
        try:
            work = await in_thread(services.ledger.workload.actionable)
            throttle = await in_thread(services.throttle)
        except LedgerUnavailableError:
            return False  # upkeep says so
        now = services.clock()
        wanted = decide_run(work, throttle=throttle, now=now)
        if wanted.submit or wanted.collect or work.to_poll:
            return False  # due since the lines last looked
        soon = now + timedelta(seconds=services.policy.linger_s)
        return work.next_due_at is None or work.next_due_at > soon

    async def all_ended() -> bool:
        return waiting is not None and waiting.over

    async with working(services, owner) as worker:
        await remember_account(worker)
        floor = Pipeline(worker, time_box_s, waiting, told_once)
        policy = services.policy
        floor.add(Submitter(worker, told_once), policy.submit_workers)
        floor.add(Poller(worker, told_once), policy.poll_workers)
        floor.add(Collector(worker, told_once), policy.collect_workers)
        upkeep = asyncio.create_task(_upkeep(Maintenance(worker, waiting, emit)))
        try:
            await floor.run(nothing_due if waiting is None else all_ended)
        finally:
            upkeep.cancel()


async def _upkeep(upkeep: Maintenance) -> None:
    while True:
        await upkeep.once()
        await asyncio.sleep(_UPKEEP_S)
