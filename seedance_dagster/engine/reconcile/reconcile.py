"""Reconciliation: after a lost reply, the task is looked up in the vendor's history before a further POST.

A task is adopted when it can only be the order's. An absence counts only when two complete scans a grace
period apart prove it, and the account's balance does not contradict it. Everything else stays uncertain.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from seedance_dagster.api.wire import Task
from seedance_dagster.engine.account import is_of_account, other_account, text_changes
from seedance_dagster.engine.lifecycle import task_columns
from seedance_dagster.engine.marks import marks_prove
from seedance_dagster.engine.reconcile.clocks import Offset, Window, clock_offset, post_window
from seedance_dagster.engine.reconcile.evidence import (
    BalanceEvidence,
    Patience,
    least_points,
    read_balance,
    read_patience,
    unproved,
)
from seedance_dagster.engine.reconcile.history import HistoryScan, scan_history
from seedance_dagster.engine.reconcile.matching import Lost, Matcher, Matches, describe
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import FOREIGN_REPLY, Order, State
from seedance_dagster.ledger.work.leases import LONGEST_DELAY
from seedance_dagster.threads import in_thread

_FOREIGN = (
    "its POST was answered with a task that echoes another request (its journal names it): look at that "
    "task, and adopt or requeue the order by hand"
)
_A_DAY = timedelta(days=1)  # read on either side of the orders, so that there is something to compare with


@dataclass(frozen=True)
class ReconcileResult:
    """The result of a reconciliation.

    Attributes:
        adopted: Orders that got their task.
        requeued: Orders for which no task was made.
        uncertain: The others, each with its reason in the ledger.
        ended: Orders that a person ended.
    """

    adopted: tuple[Order, ...] = ()
    requeued: tuple[Order, ...] = ()
    uncertain: tuple[Order, ...] = ()
    ended: tuple[Order, ...] = ()


@dataclass
class _Results:
    adopted: list[Order] = field(default_factory=list)
    requeued: list[Order] = field(default_factory=list)
    uncertain: list[Order] = field(default_factory=list)


async def reconcile(worker: Worker, *, now: bool = False) -> ReconcileResult:
    """Reconcile uncertain orders with the vendor's history.

    Args:
        worker: Its name goes into the journal.
        now: Reconcile all uncertain orders, not only those that are due.
    """
    services, results = worker.services, _Results()
    clock = services.clock()
    due = [
        order
        for order in await in_thread(services.ledger.queries.find, states={State.UNCERTAIN})
        if now or order.due_at is None or not clock < order.due_at <= clock + LONGEST_DELAY
    ]
    orders = [order for order in due if is_of_account(order, worker)]
    for order in due:
        if not is_of_account(order, worker):
            results.uncertain.append(await _note_doubt(worker, order, other_account(order)))
    if orders:
        look = await _look(worker, orders, clock)
        await _resolve(worker, look, results)
    return ReconcileResult(
        adopted=tuple(results.adopted), requeued=tuple(results.requeued), uncertain=tuple(results.uncertain)
    )


async def adopt(worker: Worker, order: Order, task: Task, *, how: str) -> Order:
    """Give an uncertain order its task; raise `TaskOwnedError` or `StaleOrderError`."""
    services = worker.services
    return await in_thread(
        services.ledger.tasks.submitted,
        order,
        actor=worker.name,
        due_at=services.clock(),
        task=task_columns(task),
        how=how,
    )


@dataclass(frozen=True)
class _Look:
    """One look at the history for some orders; `now` is the vendor's time, an estimate on the early side."""

    lost: Sequence[Lost]
    scan: HistoryScan
    matcher: Matcher
    matches: Matches
    patience: Mapping[str, Patience]
    now: datetime

    @property
    def alone(self) -> bool:
        """True when all tasks that no order owns are from times of lost POSTs: only we use the account."""
        return all(
            row.created_at is None
            or any(lost_order.widest.contains(row.created_at) for lost_order in self.lost)
            for row in self.scan.unmatched
        )


async def _look(worker: Worker, orders: Sequence[Order], clock: datetime) -> _Look:
    services = worker.services
    sent = [order.sent_at or order.claimed_at or order.ordered_at for order in orders]
    answered = await in_thread(
        services.ledger.reconciliation.answered_tasks,
        worker.client.account_name,
        min(*sent, clock) - _A_DAY,
        max(*sent, clock) + _A_DAY,
    )
    lost = [_lost(order, clock_offset(answered, at), clock) for order, at in zip(orders, sent, strict=True)]
    offset = clock_offset(answered, clock)
    start = min(lost_order.doubtful_from for lost_order in lost)
    end = max(clock + offset.most, *(lost_order.widest.end for lost_order in lost)) + _A_DAY
    types = {order.task_type for order in orders}
    scan = await scan_history(
        worker,
        Window(start - _A_DAY, end),
        near=Window(start, end),
        types=types,
        now=clock + offset.most,
    )
    matcher = Matcher(
        services.limits,
        await in_thread(text_changes, worker),
        ledger_id=services.ledger.identity.ledger_id,
        marks_echoed=await in_thread(marks_prove, worker, scan.tasks),
    )
    matches = matcher.match(lost, scan.tasks)
    return _Look(lost, scan, matcher, matches, await read_patience(worker, types), clock + offset.least)


def _lost(order: Order, offset: Offset, clock: datetime) -> Lost:
    widest = post_window(order, offset, clock)
    return Lost(order, post_window(order, offset.usual, clock), widest, widest.start - offset.margin)


async def _resolve(worker: Worker, look: _Look, results: _Results) -> None:
    """Adopt, requeue or note a doubt for each order."""
    absent, raced = [], False
    for lost in look.lost:
        task = look.matches.adopted.get(lost.order_id)
        doubt = _doubt(lost, task, look)
        try:
            if doubt is not None:
                results.uncertain.append(await _note_doubt(worker, lost.order, doubt))
            elif task is not None:
                results.adopted.append(await adopt(worker, lost.order, task, how="adopted"))
            else:
                absent.append(lost)
        except (StaleOrderError, TaskOwnedError):
            raced = True  # another worker reconciles at the same time
    if absent:
        adopted = {str(order.task_id) for order in results.adopted}
        balance = BalanceEvidence(moved=True) if raced else await read_balance(worker, look.scan, adopted)
        for lost in absent:
            with contextlib.suppress(StaleOrderError):
                await _resolve_absent(worker, lost, look, balance, results)


async def _resolve_absent(
    worker: Worker, lost: Lost, look: _Look, balance: BalanceEvidence, results: _Results
) -> None:
    """Requeue an order if two scans prove that no task was made, or note the doubt."""
    services, order, scan = worker.services, lost.order, look.scan
    patience = look.patience[order.task_type]
    doubt = unproved(scan, lost.widest, look.now, patience)
    if order.error_class == FOREIGN_REPLY:
        # If the vendor alters what it echoes, that task is this order's, and paid for.
        doubt = _FOREIGN
    if doubt is None and look.alone:
        # If only we use the account, a similar task is ours: the vendor may change texts in new ways.
        taken = {task.task_id for task in look.matches.adopted.values()}
        others = [task for task in scan.tasks if task.task_id not in taken]
        rewritten = look.matcher.rewritten(lost, others)
        doubt = _choice(order, rewritten, look) if rewritten else None
    if doubt is None and not balance.moved:
        doubt = balance.against(least_points(worker, order))
    if doubt is not None:
        results.uncertain.append(await _note_doubt(worker, order, doubt))
        return
    since = order.absent_since
    if since is None or since > scan.began_at:  # the first time, or the clock was put back
        since = scan.ended_at
    if balance.moved or scan.began_at - since < patience.grace:
        noted = await in_thread(
            services.ledger.reconciliation.note_absence,
            order,
            due_at=services.clock() + _wait(services),
            since=since,
            reason=f"the history of {since:%Y-%m-%d %H:%M:%S} UTC is complete and has no task of the "
            f"order; it is requeued if a scan after {since + patience.grace:%H:%M:%S} UTC finds none either",
        )
        results.uncertain.append(noted)
        return
    requeued = await in_thread(
        services.ledger.reconciliation.requeue_absent,
        order,
        actor=worker.name,
        due_at=services.clock(),
        reason="no task was made: the history was read twice without it",
    )
    results.requeued.append(requeued)


def _doubt(lost: Lost, task: Task | None, look: _Look) -> str | None:
    """Return why an order stays uncertain for now; None where it has its task, or none in this scan."""
    near = look.matches.doubts.get(lost.order_id)
    if near:
        return _choice(lost.order, near, look)
    return None if task is None else _too_early(lost, task, look)


def _too_early(lost: Lost, task: Task, look: _Look) -> str | None:
    """Return the reason not to adopt a task that fits yet: another that also fits may still be listed."""
    if look.matcher.mark(task) is not None:
        return None  # the mark of its own POST: no other task can fit as well
    if look.scan.doubt is not None:
        return f"task {task.task_id} fits, but {look.scan.doubt}"
    adopt_at = lost.widest.end + look.patience[lost.order.task_type].task
    all_listed = look.scan.lists_unfinished and look.scan.unlisted is None
    suitable = {task.task_id for task in look.matches.adopted.values()}
    alone = all(row.task_id in suitable for row in look.scan.unmatched)  # nobody else uses the account
    if all_listed or alone or look.now > adopt_at:
        return None
    return (
        f"task {task.task_id} fits, but the history is late, or lists finished tasks only, so that another "
        f"may fit as well: it is adopted after {adopt_at:%Y-%m-%d %H:%M} UTC, if none does"
    )


def _choice(order: Order, tasks: Sequence[Task], look: _Look) -> str:
    expected = look.matcher.marks_echoed and order.mark is not None and not any(task.mark for task in tasks)
    hint = " (probably not: the account's other tasks give back the mark of their POST)" if expected else ""
    return (
        f"it cannot be decided whether one of these tasks that no order owns is its own: {describe(tasks)}"
        f"{hint}. Look at them, and run `reconcile {order.order_id}` with --adopt TASK_ID, or --requeue if "
        "none is"
    )


async def _note_doubt(worker: Worker, order: Order, reason: str) -> Order:
    services = worker.services
    due_at = services.clock() + _wait(services)
    return await in_thread(services.ledger.reconciliation.note_doubt, order, due_at=due_at, reason=reason)


def _wait(services: Services) -> timedelta:
    policy = services.policy
    return timedelta(seconds=min(policy.pacing.reconcile_s, policy.grace_s))
