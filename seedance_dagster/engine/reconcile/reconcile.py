"""Reconciliation: after a lost reply, the task is looked up in the vendor's history before a further POST.

An absence counts only when two complete scans a grace period apart agree, and when neither the account's
balance nor what the history was seen to list contradicts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from seedance_dagster.api.wire import Task
from seedance_dagster.engine.lifecycle import task_columns
from seedance_dagster.engine.reconcile.evidence import Evidence, gather_evidence, least_points
from seedance_dagster.engine.reconcile.history import HistoryScan, scan_history
from seedance_dagster.engine.reconcile.matching import CLOCK_SKEW, match
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.leases import LONGEST_DELAY
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.threads import in_thread

_WRONG_CLOCK = timedelta(days=1)  # a task that a clock wrong by hours puts elsewhere must not seem absent
_AMBIGUOUS = (
    "a task without an order has the same text but other parameters, was made before the order, or does not "
    "report its text"
)


@dataclass(frozen=True)
class ReconcileResult:
    """The result of a reconciliation.

    Attributes:
        adopted: Orders that got their task.
        requeued: Orders for which no task was made.
        uncertain: The others, each with its reason in the ledger.
        ended: Orders that a person gave up.
    """

    adopted: tuple[Order, ...] = ()
    requeued: tuple[Order, ...] = ()
    uncertain: tuple[Order, ...] = ()
    ended: tuple[Order, ...] = ()


async def reconcile(worker: Worker, *, now: bool = False) -> ReconcileResult:
    """Reconcile uncertain orders with the vendor's history.

    Args:
        worker: Its name goes into the journal.
        now: Reconcile all uncertain orders, not only those that are due.
    """
    services = worker.services
    clock = services.clock()
    orders = [
        order
        for order in await in_thread(services.ledger.queries.find, states={State.UNCERTAIN})
        if now or order.due_at is None or not clock < order.due_at <= clock + LONGEST_DELAY
    ]
    if not orders:
        return ReconcileResult()
    # From the placing on: an earlier claim of the same order may have made a task as well.
    ordered = [order.ordered_at for order in orders]
    claimed = [order.claimed_at for order in orders if order.claimed_at is not None]
    scan = await scan_history(
        worker,
        start=min(clock, *ordered) - _WRONG_CLOCK,
        end=max(clock, *ordered, *claimed) + _WRONG_CLOCK,
        old=min(ordered) - CLOCK_SKEW,
        types={order.task_type for order in orders},
    )
    return await _resolve(worker, orders, scan)


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


async def _resolve(worker: Worker, orders: Sequence[Order], scan: HistoryScan) -> ReconcileResult:
    matches = match(orders, scan.tasks)
    result: dict[str, list[Order]] = {"adopted": [], "requeued": [], "uncertain": []}
    absent, raced = [], False
    for order in orders:
        task = matches.adopted.get(order.order_id)
        try:
            if task is not None:
                result["adopted"].append(await adopt(worker, order, task, how="adopted"))
            elif scan.doubt is not None:
                result["uncertain"].append(await _note_doubt(worker, order, scan.doubt))
            elif order.order_id in matches.ambiguous:
                result["uncertain"].append(await _note_doubt(worker, order, _AMBIGUOUS))
            else:
                absent.append(order)
        except (StaleOrderError, TaskOwnedError):
            raced = True  # another worker reconciles at the same time
    if absent:
        adopted = {task.task_id for task in matches.adopted.values()}
        evidence = Evidence(moved=True) if raced else await gather_evidence(worker, scan, adopted)
        for order in absent:
            try:
                requeued, current = await _resolve_absent(worker, order, scan, evidence)
            except StaleOrderError:
                continue
            result["requeued" if requeued else "uncertain"].append(current)
    return ReconcileResult(**{name: tuple(found) for name, found in result.items()})


async def _resolve_absent(
    worker: Worker, order: Order, scan: HistoryScan, evidence: Evidence
) -> tuple[bool, Order]:
    """Requeue an order whose task was absent twice, or note its absence; return whether it was requeued."""
    services = worker.services
    against = None if evidence.moved else evidence.against(least_points(worker, order))
    if against is not None:
        return False, await _note_doubt(worker, order, against)
    since = order.absent_since
    if since is None or since > scan.at:  # the clock was put back
        since = scan.at
    grace = timedelta(seconds=services.policy.grace_s)
    if evidence.moved or since == scan.at or scan.at - since < grace:
        due_at = services.clock() + _wait(services)
        return False, await in_thread(
            services.ledger.reconciliation.note_absence, order, due_at=due_at, since=since
        )
    reason = "no task was made: the history was read twice without it"
    now = services.clock()
    return True, await in_thread(
        services.ledger.claims.requeue, order, actor=worker.name, due_at=now, reason=reason
    )


async def _note_doubt(worker: Worker, order: Order, reason: str) -> Order:
    services = worker.services
    due_at = services.clock() + _wait(services)
    return await in_thread(services.ledger.reconciliation.note_doubt, order, due_at=due_at, reason=reason)


def _wait(services: Services) -> timedelta:
    policy = services.policy
    return timedelta(seconds=min(policy.pacing.reconcile_s, policy.grace_s))
