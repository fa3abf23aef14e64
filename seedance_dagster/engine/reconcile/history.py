"""Scans of the vendor's task history: the tasks that no order owns, and whether a scan proves an absence.

The history has no prompts, so every task of the orders' types that no order owns is read on its own. A scan
is complete when it listed all that the vendor counts, and every task that is known to exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError, SeedanceError
from seedance_dagster.api.wire import HistoryRow, Task
from seedance_dagster.engine.worker import Worker
from seedance_dagster.threads import in_thread

LISTS_UNFINISHED = "history_lists_unfinished"
"""Observation in the ledger: the history was seen to list a task that was still running."""

_UNFINISHED = ("pending", "waiting", "queued", "staged", "starting", "processing", "running")
_PAGE_SIZE = 100  # the vendor's maximum
_MAX_PAGES = 1000
_PASSES = 3  # later passes catch up with what came during the first
_MAX_OLD_TASKS = 5000
_old_tasks: dict[str, Task] = {}  # the request of a task never changes: a process reads each old one once


@dataclass(frozen=True)
class HistoryScan:
    """One scan of the history.

    Attributes:
        at: When it began.
        tasks: Tasks that no order owns and that may be of the orders' types.
        unmatched: Rows of all tasks that no order owns, of any type.
        unseen_end: True when a task of an order has ended unseen, so that its points may be back without the
            ledger's knowing.
        doubt: Why a task's absence proves nothing; None for a complete scan.
    """

    at: datetime
    tasks: tuple[Task, ...] = ()
    unmatched: tuple[HistoryRow, ...] = ()
    unseen_end: bool = False
    doubt: str | None = None


async def scan_history(
    worker: Worker, *, start: datetime, end: datetime, old: datetime, types: Iterable[str]
) -> HistoryScan:
    """Scan a window of the history.

    Args:
        worker: The worker that reads.
        start: The window's start.
        end: The window's end.
        old: Tasks made before this are read for their request alone, once in a process.
        types: Task types to read; rows of other types that have a price are left out.
    """
    services = worker.services
    ledger, at = services.ledger, services.clock()
    try:
        rows, doubt = await read_rows(worker.client, start, end)
        if any(map(is_unfinished, rows.values())) and not await in_thread(
            ledger.observations.recall, LISTS_UNFINISHED
        ):
            await in_thread(ledger.observations.remember, {LISTS_UNFINISHED: 1})
        known = await in_thread(ledger.reconciliation.tasks_since, start)
        listed_by = at - timedelta(seconds=services.policy.pacing.history_lag_s)
        unlisted = [
            task.task_id for task in known if task.created_at <= listed_by and task.task_id not in rows
        ]
        if unlisted:
            doubt = f"the history does not list task {unlisted[0]}, which exists"
        running = {task.task_id for task in known if task.running}
        owned = await in_thread(ledger.reconciliation.owned_tasks, rows)
        unmatched = {task_id: row for task_id, row in rows.items() if task_id not in owned}
        other_types = set(services.prices.task_types) - set(types)
        tasks, missing = await _read_tasks(worker, unmatched, old, other_types)
    except SeedanceError as error:
        return HistoryScan(at, doubt=f"the vendor's history cannot be read: {error}")
    return HistoryScan(
        at,
        tuple(tasks),
        tuple(unmatched.values()),
        any(task_id in running and not is_unfinished(row) for task_id, row in rows.items()),
        f"task {missing} is in the history but cannot be read" if missing else doubt,
    )


async def read_rows(
    client: SeedanceClient, start: datetime, end: datetime
) -> tuple[dict[str, HistoryRow], str | None]:
    """Return the rows of a window by task id, and why there may be more; raise `SeedanceError`."""
    rows: dict[str, HistoryRow] = {}
    total: int | None = None
    for _ in range(_PASSES):
        for number in range(1, _MAX_PAGES + 1):
            page = await client.history(start=start, end=end, page=number, page_size=_PAGE_SIZE)
            new = {row.task_id: row for row in page.rows if row.task_id not in rows}
            rows |= new
            total = page.total
            if not new or (total is not None and len(rows) >= total):
                break
        else:
            return rows, f"the history since {start:%Y-%m-%d %H:%M} UTC has more than {_MAX_PAGES} pages"
        if total is None or len(rows) >= total:
            return rows, None
    return rows, f"the history counts {total} tasks and lists {len(rows)}"


async def _read_tasks(
    worker: Worker, unmatched: Mapping[str, HistoryRow], old: datetime, other_types: set[str]
) -> tuple[list[Task], str | None]:
    """Return the tasks of some rows, and the id of one that the vendor does not find."""
    tasks, missing = [], None
    for task_id, row in unmatched.items():
        if row.task_type in other_types:  # a type that is not known may stand for any
            continue
        task = _old_tasks.get(task_id)
        if task is None:
            try:
                task = await worker.client.get_task(task_id)
            except NotFoundError:
                missing = task_id
                continue
        tasks.append(task)
        if row.created_at is not None and row.created_at < old and len(_old_tasks) < _MAX_OLD_TASKS:
            _old_tasks[task_id] = task
    return tasks, missing


def is_unfinished(row: HistoryRow) -> bool:
    """Return True while a task is running at the vendor."""
    return row.status.strip().lower() in _UNFINISHED
