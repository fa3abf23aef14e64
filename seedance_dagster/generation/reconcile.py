"""Reconciliation: a lost answer is looked for in the vendor's task history before anything is sent again.

The history has no prompts, so every task of the window that no order owns is read by itself. A
reading is clean when every page was read and every task that is known to have been made in the
window is listed. An absence counts only when two clean readings a grace period apart agree, and
when neither the account's balance nor what the history was seen to list speaks against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from seedance_dagster.api.errors import NotFoundError, SeedanceError
from seedance_dagster.api.prices import points_to_usd
from seedance_dagster.api.wire import HistoryRow, Task
from seedance_dagster.generation.account import unexplained_points
from seedance_dagster.generation.lifecycle import task_columns
from seedance_dagster.generation.matching import CLOCK_SKEW, match
from seedance_dagster.generation.threads import in_thread
from seedance_dagster.generation.worker import Worker
from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import Order, State

_LAG = timedelta(minutes=2)  # until the history should list a task
_LOOK_AGAIN = timedelta(seconds=60)
_UNFINISHED = ("pending", "waiting", "queued", "staged", "starting", "processing", "running")
_LISTS_UNFINISHED = "history_lists_unfinished"
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
    # From the acceptance on: an earlier claim of the same order may have made a task as well.
    start = min(order.accepted_at for order in orders) - CLOCK_SKEW
    try:
        reading = await _read(worker, start, clock, {order.task_type for order in orders})
    except SeedanceError as error:
        reading = _Reading(clock, [], f"the vendor's history cannot be read: {error}")
    return await _settle(worker, orders, reading)


@dataclass(frozen=True)
class _Reading:
    """One reading of the history.

    Attributes:
        at: When it began.
        tasks: Tasks of the orders' types that no order owns.
        other_rows: Rows of other types that no order owns.
        doubt: Why nothing may be concluded from a task's absence; None for a clean reading.
    """

    at: datetime
    tasks: list[Task]
    doubt: str | None
    other_rows: tuple[HistoryRow, ...] = ()


async def _read(worker: Worker, start: datetime, at: datetime, types: set[str]) -> _Reading:
    ledger = worker.services.ledger
    rows, doubt = await _history(worker, start, at + CLOCK_SKEW)
    unfinished = any(row.status.strip().lower() in _UNFINISHED for row in rows)
    if unfinished and not await in_thread(ledger.learned, _LISTS_UNFINISHED):
        await in_thread(ledger.learn, {_LISTS_UNFINISHED: 1})
    known = await in_thread(ledger.tasks_made, start, at - _LAG)
    unlisted = sorted(set(known) - {row.task_id for row in rows})
    if unlisted:
        doubt = f"the history does not list task {unlisted[0]}, which exists"
    owned = await in_thread(ledger.owned, {row.task_id for row in rows})
    strangers = {row.task_id: row for row in rows if row.task_id not in owned}
    others = tuple(row for row in strangers.values() if row.task_type and row.task_type not in types)
    tasks = []
    for task_id in sorted(strangers.keys() - {row.task_id for row in others}):
        try:
            tasks.append(await worker.client.get_task(task_id))
        except NotFoundError:
            doubt = f"task {task_id} is in the history but cannot be read"
    return _Reading(at, tasks, doubt, others)


async def _history(worker: Worker, start: datetime, end: datetime) -> tuple[list[HistoryRow], str | None]:
    rows: list[HistoryRow] = []
    for page in range(1, _MAX_PAGES + 1):
        read = await worker.client.history(start=start, end=end, page=page, page_size=_PAGE_SIZE)
        rows.extend(read.rows)
        if not read.rows or (read.total is not None and len(rows) >= read.total):
            return rows, None
    return rows, f"the history since {start:%Y-%m-%d %H:%M} UTC has more than {_MAX_PAGES} pages"


async def _settle(worker: Worker, orders: Sequence[Order], reading: _Reading) -> Settled:
    matches = match(orders, reading.tasks)
    settled: dict[str, list[Order]] = {"adopted": [], "freed": [], "uncertain": []}
    for order in orders:
        task = matches.adopted.get(order.order_id)
        try:
            if task is not None:
                settled["adopted"].append(await adopt(worker, order, task, how="adopted"))
            elif reading.doubt is not None:
                settled["uncertain"].append(await _unknown(worker, order, reading.doubt))
            elif order.order_id in matches.doubtful:
                why = "a task without an order has the same text but other parameters"
                settled["uncertain"].append(await _unknown(worker, order, why))
            else:
                freed, seen = await _absent(worker, order, reading)
                settled["freed" if freed else "uncertain"].append(seen)
        except (StaleOrderError, TaskOwnedError):
            # Another worker settled it meanwhile.
            continue
    return Settled(**{name: tuple(found) for name, found in settled.items()})


async def adopt(worker: Worker, order: Order, task: Task, *, how: str) -> Order:
    """Give an uncertain order its task; raises `TaskOwnedError` or `StaleOrderError`."""
    services = worker.services
    return await in_thread(
        services.ledger.submitted,
        order,
        actor=worker.name,
        due_at=services.clock(),
        task=task_columns(task),
        how=how,
    )


async def _unknown(worker: Worker, order: Order, why: str) -> Order:
    services = worker.services
    due_at = services.clock() + min(_LOOK_AGAIN, timedelta(seconds=services.policy.grace_s))
    return await in_thread(services.ledger.still_unknown, order, due_at=due_at, reason=why)


async def _absent(worker: Worker, order: Order, reading: _Reading) -> tuple[bool, Order]:
    services = worker.services
    grace = timedelta(seconds=services.policy.grace_s)
    if order.absent_since is None or reading.at - order.absent_since < grace:
        due_at = services.clock() + min(_LOOK_AGAIN, grace)
        return False, await in_thread(services.ledger.still_absent, order, due_at=due_at, read_at=reading.at)
    contradiction = await _contradiction(worker, order, reading)
    if contradiction is not None:
        return False, await _unknown(worker, order, contradiction)
    reason = "no task was made: the history was read twice without it"
    now = services.clock()
    return True, await in_thread(services.ledger.requeue, order, actor=worker.name, due_at=now, reason=reason)


async def _contradiction(worker: Worker, order: Order, reading: _Reading) -> str | None:
    """What speaks against the absence of a task."""
    points = await unexplained_points(worker, reading.tasks, reading.other_rows)
    if points is None:
        if await in_thread(worker.services.ledger.learned, _LISTS_UNFINISHED):
            return None
        return "the account tells no balance, and the history was never seen to list an unfinished task"
    # The price may have fallen since the estimate.
    if 2 * points >= order.estimated_points:
        return f"{points_to_usd(points)} USD left the account for no task that is known"
    return None
