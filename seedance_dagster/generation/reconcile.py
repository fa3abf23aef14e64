"""Reconciliation: a lost answer is looked for in the vendor's task history before anything is sent again.

The history has no prompts, so every task of the window that no order owns is read by itself. A
reading is clean when every page was read and every task that is known to have been made in the
window is listed; an absence counts only when two clean readings a grace period apart agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from seedance_dagster.api.errors import NotFoundError, SeedanceError
from seedance_dagster.api.wire import HistoryRow, Task
from seedance_dagster.generation.lifecycle import task_columns
from seedance_dagster.generation.matching import match
from seedance_dagster.generation.threads import in_thread
from seedance_dagster.generation.worker import Worker
from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import Order, State

_SKEW = timedelta(minutes=5)  # our clock against the vendor's
_LAG = timedelta(minutes=2)  # until the history should list a task
_LOOK_AGAIN = timedelta(seconds=60)
_PAGE_SIZE = 100  # the vendor's maximum
_MAX_PAGES = 1000


@dataclass(frozen=True)
class Settled:
    """What a reconciliation came to; the rest stays uncertain, each with its reason in the ledger."""

    adopted: tuple[Order, ...] = ()
    freed: tuple[Order, ...] = ()
    uncertain: tuple[Order, ...] = ()


async def reconcile(worker: Worker, *, now: bool = False) -> Settled:
    """Settle uncertain orders against the vendor's history.

    Args:
        worker: The worker; its name goes into the journal.
        now: Look at all uncertain orders, not only at those that are due.
    """
    services = worker.services
    clock = services.clock()
    orders = [
        order
        for order in await in_thread(services.ledger.find, states={State.UNCERTAIN})
        if now or order.due_at is None or order.due_at <= clock
    ]
    if not orders:
        return Settled()
    start = min(order.claimed_at or order.accepted_at for order in orders) - _SKEW
    try:
        reading = await _read(worker, start, clock + _SKEW, {order.task_type for order in orders})
    except SeedanceError as error:
        reading = _Reading([], f"the vendor's history cannot be read: {error}")
    return await _settle(worker, orders, reading)


@dataclass(frozen=True)
class _Reading:
    """Tasks without an order, and why nothing may be concluded from a task's absence, if so."""

    tasks: list[Task]
    doubt: str | None


async def _read(worker: Worker, start: datetime, end: datetime, types: set[str]) -> _Reading:
    ledger = worker.services.ledger
    rows = await _history(worker, start, end)
    known = await in_thread(ledger.tasks_made, start, end - _SKEW - _LAG)
    unlisted = sorted(set(known) - {row.task_id for row in rows})
    doubt = f"the history does not list task {unlisted[0]}, which exists" if unlisted else None
    candidates = {row.task_id for row in rows if row.task_type in types or not row.task_type}
    tasks = []
    for task_id in sorted(candidates - await in_thread(ledger.owned, candidates)):
        try:
            tasks.append(await worker.client.get_task(task_id))
        except NotFoundError:
            doubt = f"task {task_id} is in the history but cannot be read"
    return _Reading(tasks, doubt)


async def _history(worker: Worker, start: datetime, end: datetime) -> list[HistoryRow]:
    rows: list[HistoryRow] = []
    for page in range(1, _MAX_PAGES + 1):
        read = await worker.client.history(start=start, end=end, page=page, page_size=_PAGE_SIZE)
        rows.extend(read.rows)
        if not read.rows or (read.total is not None and len(rows) >= read.total):
            break
    return rows


async def _settle(worker: Worker, orders: Sequence[Order], reading: _Reading) -> Settled:
    matches = match(orders, reading.tasks)
    settled: dict[str, list[Order]] = {"adopted": [], "freed": [], "uncertain": []}
    for order in orders:
        task = matches.adopted.get(order.order_id)
        try:
            if task is not None:
                settled["adopted"].append(await _adopt(worker, order, task))
            elif reading.doubt is not None:
                settled["uncertain"].append(await _unknown(worker, order, reading.doubt))
            elif order.order_id in matches.doubtful:
                why = "a task without an order has the same text but other parameters"
                settled["uncertain"].append(await _unknown(worker, order, why))
            else:
                freed, seen = await _absent(worker, order)
                settled["freed" if freed else "uncertain"].append(seen)
        except (StaleOrderError, TaskOwnedError):
            # Another worker settled it meanwhile.
            continue
    return Settled(**{name: tuple(found) for name, found in settled.items()})


async def _adopt(worker: Worker, order: Order, task: Task) -> Order:
    return await in_thread(
        worker.services.ledger.submitted,
        order,
        actor=worker.name,
        due_at=worker.services.clock(),
        task=task_columns(task),
        how="adopted",
    )


async def _unknown(worker: Worker, order: Order, why: str) -> Order:
    services = worker.services
    due_at = services.clock() + _LOOK_AGAIN
    return await in_thread(services.ledger.still_unknown, order, due_at=due_at, reason=why)


async def _absent(worker: Worker, order: Order) -> tuple[bool, Order]:
    services, name = worker.services, worker.name
    clock, grace = services.clock(), timedelta(seconds=services.policy.grace_s)
    if order.absent_since is not None and clock - order.absent_since >= grace:
        reason = "no task was made: the history was read twice without it"
        return True, await in_thread(services.ledger.requeue, order, actor=name, due_at=clock, reason=reason)
    due_at = clock + min(_LOOK_AGAIN, grace)
    return False, await in_thread(services.ledger.still_absent, order, due_at=due_at)
