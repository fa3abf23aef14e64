"""The pipeline: worker pools that submit, poll and collect, for runs and for the sensor's ticks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from seedance_dagster.engine.account import remember_account
from seedance_dagster.engine.events import Delayed, Emit, Event
from seedance_dagster.engine.reconcile.reconcile import reconcile
from seedance_dagster.engine.runtime.history_guide import HistoryGuide
from seedance_dagster.engine.runtime.maintenance import Maintenance
from seedance_dagster.engine.runtime.run_decision import decide_run
from seedance_dagster.engine.runtime.watch import OrderWatch, watch_orders
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import Collector
from seedance_dagster.engine.stages.poll import Poller
from seedance_dagster.engine.stages.stage import Stage, WorkerPool
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import Worker, working
from seedance_dagster.ledger.errors import LedgerBehindError, LedgerUnavailableError
from seedance_dagster.ledger.order import Order
from seedance_dagster.threads import in_thread


async def advance(
    services: Services,
    emit: Emit,
    *,
    owner: str,
    only: Sequence[int] | None = None,
    time_box_s: float | None = None,
) -> None:
    """Submit, poll and collect, and emit what happens.

    When cancelled, it waits for the answers to POSTs under way and releases its leases.

    Args:
        emit: Called with each event; the work waits until it returns.
        owner: The worker's unique name.
        only: Orders to work on until all have ended, whichever worker ends them; None to work on everything
            that is due, until nothing is.
        time_box_s: Seconds after which no further order is taken.
    """
    watch = None if only is None else await watch_orders(services, only)

    async def emit_once(event: Event) -> None:
        if watch is None or watch.ends(event):
            await emit(event)

    async def is_over() -> bool:
        return await _nothing_due(services) if watch is None else watch.over

    policy = services.policy
    async with working(services, owner) as worker:
        await remember_account(worker)
        pipeline = Pipeline(worker, emit_once, time_box_s=time_box_s, watch=watch)
        pending, workable = (None, None) if watch is None else (watch.pending, watch.workable)
        submitting = pipeline.add(Submitter(worker, emit_once), policy.submit_workers, only=pending)
        collecting = pipeline.add(Collector(worker, emit_once), policy.collect_workers, only=workable)

        def on_end() -> None:
            submitting.wake()
            collecting.wake()

        poller = Poller(worker, emit_once, on_end=on_end)
        polling = pipeline.add(poller, policy.poll_workers, only=workable)
        maintenance = Maintenance(worker, watch, emit, pipeline.troubles)
        async with _beside(maintenance.run(), HistoryGuide(worker, polling.wake).run()):
            await pipeline.run(is_over)


@dataclass(frozen=True)
class PollResult:
    """The result of one round of polls.

    Attributes:
        polled: The number of tasks that were read.
        ended: How many of them have ended, with a video or without.
        troubles: The different problems that were met.
    """

    polled: int = 0
    ended: int = 0
    troubles: tuple[str, ...] = ()


async def poll_due(services: Services, *, owner: str, time_box_s: float) -> PollResult:
    """Poll the tasks that are due, inside a time box in seconds, and reconcile uncertain orders."""
    troubles: dict[str, None] = {}

    async def emit(event: Event) -> None:
        if isinstance(event, Delayed):
            troubles[event.reason] = None

    async def is_over() -> bool:
        return not guide.is_busy

    await in_thread(services.ledger.claims.expire, actor=owner)
    async with working(services, owner) as worker:
        await remember_account(worker)
        pipeline = Pipeline(worker, emit, time_box_s=time_box_s)
        poller = Poller(worker, emit)
        polling = pipeline.add(poller, services.policy.poll_workers)
        guide = HistoryGuide(worker, polling.wake)
        async with _beside(guide.run()):
            await pipeline.run(is_over)
        result = await reconcile(worker)
        troubles |= dict.fromkeys(order.error_message or "" for order in result.uncertain)
    return PollResult(poller.polled, poller.ended, tuple(troubles))


@asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless work beside a block, and cancel it at the block's end."""
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class Pipeline:
    """Worker pools that run until nothing is left to do."""

    def __init__(
        self,
        worker: Worker,
        emit: Emit,
        *,
        time_box_s: float | None = None,
        watch: OrderWatch | None = None,
    ) -> None:
        self._worker = worker
        self._emit = emit
        self._watch = watch
        self._pacing = worker.services.policy.pacing
        self._pools: list[WorkerPool] = []
        self._deadline = None if time_box_s is None else time.monotonic() + time_box_s

    def add(
        self, stage: Stage, workers: int, *, only: Callable[[], list[int] | None] | None = None
    ) -> WorkerPool:
        """Add a stage with a number of workers, which work only on some order ids if `only` returns them."""
        pool = WorkerPool(
            stage,
            workers=workers,
            pacing=self._pacing,
            only=only or (lambda: None),
            handled=self._handled,
        )
        self._pools.append(pool)
        self._worker.in_hand.append(pool.in_hand)
        return pool

    def troubles(self) -> list[str]:
        """Return the reasons why stages cannot look for work; on a full disk, only some of them may fail."""
        return [pool.trouble for pool in self._pools if pool.trouble is not None]

    async def run(self, is_over: Callable[[], Awaitable[bool]]) -> None:
        """Run all stages until the work is over.

        Raises:
            LedgerBehindError: The ledger was replaced by an older copy; orders in hand were not sent.
        """
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(pool.run(self._stopping)) for pool in self._pools]
            while not await self._has_ended(is_over):  # noqa: ASYNC110  the ledger says when, not an event
                await asyncio.sleep(self._pacing.end_check_s)
            for task in running:
                task.cancel()
        for refusal in self._refusals():
            raise refusal

    def _refusals(self) -> list[LedgerBehindError]:
        return [pool.refusal for pool in self._pools if pool.refusal is not None]

    async def _has_ended(self, is_over: Callable[[], Awaitable[bool]]) -> bool:
        # Idle afterwards too: the ledger no longer shows as due what a pool took meanwhile.
        if self._refusals():
            return True
        return self._idle() and (self._stopping() or await is_over()) and self._idle()

    def _idle(self) -> bool:
        return all(pool.idle for pool in self._pools)

    def _stopping(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    async def _handled(self, order: Order, error: Exception | None) -> None:
        if isinstance(error, LedgerUnavailableError):
            self._worker.unwritten.add(order.order_id)
        elif error is not None:
            await self._emit(Delayed(order, f"{order.partition}: internal error: {type(error).__name__}"))
            if self._watch is not None:
                self._watch.give_up(order.order_id)


async def _nothing_due(services: Services) -> bool:
    try:
        work = await in_thread(services.ledger.workload.actionable)
        throttle = await in_thread(services.throttle)
    except LedgerUnavailableError:
        return False  # maintenance reports it
    now, policy = services.clock(), services.policy
    decision = decide_run(work, throttle=throttle, pacing=policy.pacing, now=now)
    if decision.submit or decision.collect or work.to_poll:
        return False  # due since the pools last looked
    return work.next_due_at is None or work.next_due_at > now + timedelta(seconds=policy.linger_s)
