"""Reading the vendor's task history: which tasks no order owns, and whether the reading proves an absence.

The history has no prompts, so every task of the orders' types that no order owns is read by itself. A
reading is clean when all that the vendor counts was listed, and every task that is known to exist among it.
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
"""The fact in the ledger: the history was seen to list a task that was still at work."""

_UNFINISHED = ("pending", "waiting", "queued", "staged", "starting", "processing", "running")
_PAGE_SIZE = 100  # the vendor's maximum
_MAX_PAGES = 1000
_PASSES = 3  # what came while it was read is caught up with
_KEPT = 5000
_old_strangers: dict[str, Task] = {}  # what a task was asked for never changes: a process reads each once


@dataclass(frozen=True)
class Reading:
    """One reading of the history.

    Attributes:
        at: When it began.
        tasks: Tasks that no order owns and that may be of the asked types.
        strangers: Rows of all tasks that no order owns, of any type.
        unseen_end: True when a task of ours has ended and nobody looked at it yet, so that its points may
            be back without the ledger knowing.
        doubt: Why nothing may be concluded from a task's absence; None for a clean reading.
    """

    at: datetime
    tasks: tuple[Task, ...] = ()
    unmatched: tuple[HistoryRow, ...] = ()
    unseen_end: bool = False
    doubt: str | None = None


async def read_history(
    worker: Worker, *, start: datetime, end: datetime, old: datetime, lag: timedelta, types: Iterable[str]
) -> Reading:
    """Read a window of the history.

    Args:
        worker: The worker.
        start: Its begin.
        end: Its end.
        old: Tasks made before this are read for their request alone, once by a process.
        lag: How late the history may list a task.
        types: Task types to read; rows of other types that have a price are left out.
    """
    ledger, at = worker.services.ledger, worker.services.clock()
    try:
        rows, doubt = await all_rows(worker.client, start, end)
        if any(map(unfinished, rows.values())) and not await in_thread(
            ledger.observations.recall, LISTS_UNFINISHED
        ):
            await in_thread(ledger.observations.remember, {LISTS_UNFINISHED: 1})
        known = await in_thread(ledger.reconciliation.tasks_since, start)
        unlisted = [
            each.task_id for each in known if each.created_at <= at - lag and each.task_id not in rows
        ]
        if unlisted:
            doubt = f"the history does not list task {unlisted[0]}, which exists"
        followed = {each.task_id for each in known if each.running}
        owned = await in_thread(ledger.reconciliation.owned_tasks, rows)
        unmatched = {task_id: row for task_id, row in rows.items() if task_id not in owned}
        other_types = set(worker.services.prices.task_types) - set(types)
        tasks, missing = await _requests(worker, unmatched, old, other_types)
    except SeedanceError as error:
        return Reading(at, doubt=f"the vendor's history cannot be read: {error}")
    return Reading(
        at,
        tuple(tasks),
        tuple(unmatched.values()),
        any(task_id in followed and not unfinished(row) for task_id, row in rows.items()),
        f"task {missing} is in the history but cannot be read" if missing else doubt,
    )


async def all_rows(
    client: SeedanceClient, start: datetime, end: datetime
) -> tuple[dict[str, HistoryRow], str | None]:
    """Rows of a window by task id, and why there may be more; raises `SeedanceError`."""
    rows: dict[str, HistoryRow] = {}
    total: int | None = None
    for _ in range(_PASSES):
        for page in range(1, _MAX_PAGES + 1):
            read = await client.history(start=start, end=end, page=page, page_size=_PAGE_SIZE)
            new = {row.task_id: row for row in read.rows if row.task_id not in rows}
            rows |= new
            total = read.total
            if not new or (total is not None and len(rows) >= total):
                break
        else:
            return rows, f"the history since {start:%Y-%m-%d %H:%M} UTC has more than {_MAX_PAGES} pages"
        if total is None or len(rows) >= total:
            return rows, None
    return rows, f"the history counts {total} tasks and lists {len(rows)}"


async def _requests(
    worker: Worker, unmatched: Mapping[str, HistoryRow], old: datetime, other_types: set[str]
) -> tuple[list[Task], str | None]:
    """Tasks by themselves, and the id of one that the vendor does not find."""
    tasks, missing = [], None
    for task_id, row in unmatched.items():
        if row.task_type in other_types:  # a word that is not known may stand for any type
            continue
        task = _old_strangers.get(task_id)
        if task is None:
            try:
                task = await worker.client.get_task(task_id)
            except NotFoundError:
                missing = task_id
                continue
        tasks.append(task)
        if row.created_at is not None and row.created_at < old and len(_old_strangers) < _KEPT:
            _old_strangers[task_id] = task
    return tasks, missing


def unfinished(row: HistoryRow) -> bool:
    """True while the vendor is at work on a task."""
    return row.status.strip().lower() in _UNFINISHED
