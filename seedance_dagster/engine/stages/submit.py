"""Submitting: one claimed order, one POST, and a record of its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta

import stamina

from seedance_dagster.api.errors import (
    AuthenticationError,
    HeldBackError,
    InvalidRequestError,
    NoTaskMadeError,
    PlanLimitError,
    SeedanceError,
)
from seedance_dagster.api.wire import Task
from seedance_dagster.engine.account import read_account, remember_changes
from seedance_dagster.engine.events import Delayed, Emit, Ended, Submitted
from seedance_dagster.engine.file_links import NotHandedOverError
from seedance_dagster.engine.lifecycle import (
    ONE_REFUSED,
    SENT_AGAIN,
    End,
    NeedsReconciliation,
    QueueAgain,
    after_refused_key,
    after_refused_post,
    poll_delay,
    task_columns,
)
from seedance_dagster.engine.marks import mark_of_post
from seedance_dagster.engine.outgoing import outgoing_request
from seedance_dagster.engine.stages.claim_look import ClaimLook
from seedance_dagster.engine.throttle import PLAN_LIMIT, pause_message
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import LedgerUnavailableError, StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.threads import in_thread

_log = logging.getLogger(__name__)


class Submitter:
    """The stage that sends claimed orders to the vendor."""

    def __init__(self, worker: Worker, emit: Emit) -> None:
        self._worker = worker
        self._ledger = worker.services.ledger
        self._pacing = worker.services.policy.pacing
        self._clock = worker.services.clock
        self._emit = emit

    async def take(self, limit: int, only: list[int] | None) -> list[Order]:
        """Claim orders that may be sent now.

        Raises:
            LedgerBehindError: The ledger does not know what was sent.
        """
        return await in_thread(self._claim, limit, only)

    def _claim(self, limit: int, only: list[int] | None) -> list[Order]:
        services, claims = self._worker.services, self._ledger.claims
        # Checked first without the writer's lock: idle workers ask often, and mostly nothing is due.
        with self._ledger.reading_together():
            self._worker.seen.look()
            if not claims.are_due(only):
                return []
            throttle = services.throttle()
            if throttle.slots is not None and self._ledger.workload.in_flight() >= throttle.slots:
                return []
        return claims.take(
            self._worker.name,
            limit=limit,
            max_in_flight=throttle.slots,
            lease_s=services.policy.lease_s,
            only=only,
            rejections=throttle.rejections,
        )

    async def handle(self, order: Order) -> None:
        """Send one order; when cancelled meanwhile, wait a little for the answer."""
        sending = asyncio.create_task(self._send(order))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait({sending}, timeout=self._pacing.answer_s)
            sending.cancel()
            raise

    async def _send(self, order: Order) -> None:
        # Read before the POST: between its answer and the record nothing else may fail.
        client, plan = self._worker.client, self._worker.plan
        await plan.refresh(client.requests_per_second)
        first_poll_s = poll_delay(0, plan.expected_s(order), jitter=0, pacing=plan.pacing)
        try:
            outgoing = await outgoing_request(self._worker.services, client, order)
        except NotHandedOverError as error:
            await self._return(order, error, after_s=self._pacing.failed_upload_s)
            await self._emit(Delayed(order, str(error)))
            return
        except NoTaskMadeError as error:
            await self._refused(order, error)
            return
        last_look = ClaimLook(self._worker, order)
        mark = await in_thread(mark_of_post, self._worker, order)
        await in_thread(
            self._ledger.claims.mark_sent,
            order,
            account=client.account_name,
            mark=mark,
            sent=outgoing.columns,
        )
        try:
            task = await client.create_task(outgoing.request, mark=mark, last_look=last_look)
        except HeldBackError as error:
            await self._return(order, error)
        except SeedanceError as error:
            await self._refused(order, error)
        else:
            await self._record(order, task, first_poll_s)
        self._worker.possibly_sent.discard(order.order_id)

    async def _record(self, order: Order, task: Task, first_poll_s: float) -> None:
        try:
            # The task is paid for: its id is worth more than one try.
            async for attempt in stamina.retry_context(on=LedgerUnavailableError, attempts=6, timeout=40):
                with attempt:
                    submitted = await in_thread(
                        self._ledger.tasks.submitted,
                        order,
                        actor=self._worker.name,
                        due_at=self._clock() + timedelta(seconds=first_poll_s),
                        task=task_columns(task),
                    )
        except TaskOwnedError as error:
            # An equal order whose reply was lost adopted it meanwhile: this one takes its place.
            await in_thread(
                self._ledger.claims.mark_uncertain, order, actor=self._worker.name, reason=str(error)
            )
            await self._emit(Delayed(order, f"outcome unknown: {error}"))
        except StaleOrderError as error:
            await self._record_late(order, task, error)
        except LedgerUnavailableError as error:
            await self._unrecorded(order, task, error)
            raise  # so that the claim is returned as soon as the ledger is available
        else:
            with contextlib.suppress(LedgerUnavailableError):  # the next task shows it again
                await in_thread(remember_changes, self._worker, order.request["prompt"], task)
            await self._emit(Submitted(submitted))

    async def _return(self, order: Order, error: Exception, *, after_s: float = 0) -> None:
        """Put an order that was held back into the queue again; the throttle says what it waits for."""
        _log.info("order %s was not sent: %s", order.order_id, error)
        await in_thread(
            self._ledger.claims.requeue,
            order,
            actor=self._worker.name,
            due_at=self._clock() + timedelta(seconds=after_s),
            reason=str(error),
        )

    async def _record_late(self, order: Order, task: Task, error: StaleOrderError) -> None:
        """Record a task whose reply came after its order had become uncertain: it says whose the task is."""
        current = await in_thread(self._ledger.queries.get, order.order_id)
        if current.state is State.UNCERTAIN and current.claimed_at == order.claimed_at:
            with contextlib.suppress(StaleOrderError, TaskOwnedError):
                submitted = await in_thread(
                    self._ledger.tasks.submitted,
                    current,
                    actor=self._worker.name,
                    due_at=self._clock(),
                    task=task_columns(task),
                    how="late reply",
                )
                await self._emit(Submitted(submitted))
                return
        if not await in_thread(self._ledger.queries.find, task_id=task.task_id):
            await self._unrecorded(order, task, error)

    async def _unrecorded(self, order: Order, task: Task, error: Exception) -> None:
        """Log and report a task that only reconciliation can find now."""
        _log.error("task %s was made for order %s but not recorded: %s", task.task_id, order.order_id, error)
        await self._emit(Delayed(order, f"task {task.task_id} was made but not recorded: {error}"))

    async def _step_after(self, order: Order, error: SeedanceError) -> QueueAgain | End | NeedsReconciliation:
        refused_alone = (
            isinstance(error, AuthenticationError) and await read_account(self._worker) is not None
        )
        words = ONE_REFUSED if refused_alone else str(error)
        if isinstance(error, InvalidRequestError):
            words = SENT_AGAIN
        journal = await in_thread(self._ledger.queries.journal, order.order_id)
        tries = 1 + sum(words in str(entry.detail.get("reason")) for entry in journal)
        now, retry_s = self._clock(), self._pacing.retry_s
        if isinstance(error, AuthenticationError) and refused_alone:
            return after_refused_key(error, now=now, tries=tries, retry_s=retry_s)
        return after_refused_post(error, now=now, tries=tries, retry_s=retry_s)

    async def _refused(self, order: Order, error: SeedanceError) -> None:
        name = self._worker.name
        step = await self._step_after(order, error)
        if isinstance(error, PlanLimitError) and error.active:
            await in_thread(self._ledger.observations.remember, {PLAN_LIMIT: error.active})
        match step:
            case QueueAgain():
                if step.pause is not None:
                    await in_thread(
                        self._ledger.pauses.start,
                        step.pause,
                        until=step.pause_until or step.due_at,
                        message=pause_message(step.pause, step.reason),
                    )
                await in_thread(
                    self._ledger.claims.requeue, order, actor=name, due_at=step.due_at, reason=step.reason
                )
                await self._emit(Delayed(order, step.reason))
            case NeedsReconciliation():
                await in_thread(
                    self._ledger.claims.mark_uncertain,
                    order,
                    actor=name,
                    reason=step.reason,
                    error_class=step.error_class,
                )
                await self._emit(Delayed(order, f"outcome unknown: {step.reason}"))
            case End():
                ended, _ = await self._worker.end(order, step)
                await self._emit(Ended(ended))
