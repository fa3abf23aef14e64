"""Polling: one read of one task, and the step that follows from it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import timedelta

from seedance_dagster.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    SeedanceError,
    VendorError,
)
from seedance_dagster.engine.account import is_of_account, other_account, read_account
from seedance_dagster.engine.events import Delayed, Emit, Ended
from seedance_dagster.engine.lifecycle import Collect, End, KeepPolling, after_poll
from seedance_dagster.engine.marks import remember_mark
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.order import KEY_REFUSED, UNREADABLE, Order, State
from seedance_dagster.threads import in_thread

_REFUSED = (AuthenticationError, InvalidRequestError, NotFoundError)


def _without_numbers(reason: str | None) -> str:
    """Return a reason without its numbers, as a word such as "Finalizing (45%)" has another at each poll."""
    return re.sub("[0-9]+", "", reason or "")


def _no_one_waits() -> None:
    """Wake nobody."""


class Poller:
    """The stage that follows submitted orders until the vendor has ended them.

    Args:
        on_end: Called for each task that has ended: there is a video to store, and a slot to fill.
    """

    def __init__(self, worker: Worker, emit: Emit, *, on_end: Callable[[], None] = _no_one_waits) -> None:
        self._worker = worker
        self._on_end = on_end
        self._ledger = worker.services.ledger
        self._emit = emit
        self.polled = self.ended = 0

    async def take(self, limit: int, only: list[int] | None) -> list[Order]:
        """Take orders whose poll is due, the longest-waiting first."""
        return await in_thread(
            self._ledger.tasks.lease_due,
            self._worker.name,
            State.SUBMITTED,
            limit=limit,
            lease_s=self._worker.services.policy.lease_s,
            only=only,
        )

    async def handle(self, order: Order) -> None:
        """Poll one task once."""
        services = self._worker.services
        clock, pacing = services.clock, services.policy.pacing
        try:
            task = await self._worker.client.get_task(str(order.task_id))
        except SeedanceError as error:
            refused = isinstance(error, _REFUSED)
            other = refused and not is_of_account(order, self._worker)
            reason = other_account(order) if other else str(error)
            error_class = UNREADABLE if refused else None
            # A key that is refused altogether says nothing about the task.
            if isinstance(error, AuthenticationError) and not other:
                error_class = KEY_REFUSED if await read_account(self._worker) is None else UNREADABLE
            columns = {"error_class": error_class, "error_message": reason}
            asked_s = error.retry_after_s if isinstance(error, RateLimitError | VendorError) else None
            due_at = clock() + timedelta(seconds=max(pacing.failed_poll_s, asked_s or 0))
            await in_thread(self._ledger.tasks.polled, order, due_at=due_at, task=columns)
            await self._emit(Delayed(order, reason))
            return
        self.polled += 1
        await in_thread(remember_mark, self._worker, order, task)
        plan = self._worker.plan
        await plan.refresh(self._worker.client.requests_per_second)
        step = after_poll(
            order,
            task,
            now=clock(),
            pacing=plan.pacing,
            render_s=plan.expected_s(order),
            jitter=random.random(),  # noqa: S311  spreads polls, guards nothing
        )
        plan.check(order, ended=not isinstance(step, KeepPolling))
        match step:
            case KeepPolling():
                await in_thread(self._ledger.tasks.polled, order, due_at=step.due_at, task=step.seen)
                unfamiliar = step.seen["error_message"]
                if unfamiliar and _without_numbers(unfamiliar) != _without_numbers(order.error_message):
                    await self._emit(Delayed(order, f"task {order.task_id} is still polled: {unfamiliar}"))
            case Collect():
                await in_thread(self._ledger.tasks.succeeded, order, actor=self._worker.name, task=step.seen)
                self.ended += 1
                self._on_end()
            case End():
                ended, again = await self._worker.end(order, step)
                self.ended += 1
                self._on_end()
                await self._emit(Delayed(ended, step.reason) if again else Ended(ended))
