"""Scans of the vendor's task history: the tasks that no order owns, and whether a scan is complete.

The history has no prompts, so every task that may be an order's is read on its own. A scan is complete when
its pages agree with each other and with what the vendor counts, and when it lists every task that is known to
exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError, SeedanceError
from seedance_dagster.api.shapes import status_meaning
from seedance_dagster.api.wire import HistoryRow, Task
from seedance_dagster.counting import counted
from seedance_dagster.engine.account import of_account
from seedance_dagster.engine.reconcile.clocks import NEARLY, Window
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.reconciliation import KnownTask
from seedance_dagster.threads import in_thread

LISTS_UNFINISHED = "history lists unfinished"
"""Observation of an account: its history was seen to list a task that was still running."""

_UNFINISHED = ("pending", "staged", "processing")
_PAGE_SIZE = 100  # the vendor's maximum
_MAX_PAGES = 10_000  # a million tasks
_PASSES = 4  # later passes catch up with what moved during the first
_LONG_BEFORE = timedelta(days=30)
_ON_TRIAL = 3  # rows whose tasks are read to see whether the history lists running ones
_MAX_CACHED_TASKS = 5000
# A task's request never changes: each process reads it once.
_cached_tasks: dict[tuple[str, str], Task] = {}


@dataclass(frozen=True)
class HistoryScan:
    """One scan of the history.

    Attributes:
        began_at: When it began.
        ended_at: When it ended.
        tasks: Tasks that no order owns and that may be an uncertain order's.
        first: When the first task that the history lists was made, by the vendor's clock.
        last: When the last one was made.
        unmatched: Rows of all tasks that no order owns, of any type.
        unlisted: A task that exists and is not listed: the history is late, or lists finished tasks only.
        misdated: A task of ours that the history dates otherwise than the task itself: no row's time counts.
        lists_unfinished: True when the history was ever seen to list running tasks.
        unseen_end: True when a task of an order has ended unseen, so that its points may be back without the
            ledger's knowing.
        doubt: Why tasks may be missing in it; None for a complete scan.
    """

    began_at: datetime
    ended_at: datetime
    tasks: tuple[Task, ...] = ()
    first: datetime | None = None
    last: datetime | None = None
    unmatched: tuple[HistoryRow, ...] = ()
    unlisted: str | None = None
    misdated: str | None = None
    lists_unfinished: bool = False
    unseen_end: bool = False
    doubt: str | None = None


async def scan_history(
    worker: Worker, span: Window, *, near: Window, types: Iterable[str], now: datetime
) -> HistoryScan:
    """Scan the history.

    Args:
        span: The span to read, by the vendor's clock.
        near: The part of it in which a task may be an uncertain order's.
        types: The orders' task types.
        now: The vendor's time; an estimate on the late side.
    """
    services, account = worker.services, worker.client.account_name
    ledger, began_at = services.ledger, services.clock()
    try:
        rows, doubt = await read_rows(worker.client, span.start, span.end)
        known = await in_thread(ledger.reconciliation.known_tasks, account, span.start)
        lists_unfinished = await _lists_unfinished(worker, rows, known)
        misdated = _misdated(rows, known)
        if misdated is not None:  # such as a date alone, or local time without its zone
            rows = {task_id: replace(row, created_at=None) for task_id, row in rows.items()}
        listed_by = now - timedelta(seconds=services.policy.pacing.history_lag_s)
        times = _times(rows.values())
        # A history may forget what is older than all that it lists; how far it reaches is another question.
        reach = min(times, default=span.start)
        expected = (
            task
            for task in known
            if reach <= task.created_at and task.listed_from(unfinished=lists_unfinished) <= listed_by
        )
        owned = await in_thread(ledger.reconciliation.owned_tasks, rows)
        unmatched = {task_id: row for task_id, row in rows.items() if task_id not in owned}
        other_types = _other_types(rows, known, types)
        to_read = [
            task_id
            for task_id, row in unmatched.items()
            if (row.created_at is None or near.contains(row.created_at)) and row.task_type not in other_types
        ]
        tasks, unread = await _read_tasks(worker, to_read)
        tasks = [_dated(task, rows[task.task_id]) for task in tasks]
        if misdated is None and (not times or min(times) > near.start):
            # A single older task shows that the history reaches back that far.
            older = await worker.client.history(
                start=span.start - _LONG_BEFORE, end=span.start, page=1, page_size=1
            )
            times += _times(older.rows)
    except SeedanceError as error:
        reason = f"the vendor's history cannot be read: {error}"
        return HistoryScan(began_at, services.clock(), doubt=reason)
    running = {task.task_id for task in known if task.running}
    return HistoryScan(
        began_at,
        services.clock(),
        tasks=tuple(tasks),
        first=min(times, default=None),
        last=max(times, default=None),
        unmatched=tuple(unmatched.values()),
        unlisted=next((task.task_id for task in expected if task.task_id not in rows), None),
        misdated=misdated,
        lists_unfinished=lists_unfinished,
        unseen_end=any(task_id in running and not is_unfinished(row) for task_id, row in rows.items()),
        doubt=f"task {unread} is in the history but cannot be read" if unread else doubt,
    )


async def read_rows(
    client: SeedanceClient, start: datetime, end: datetime
) -> tuple[dict[str, HistoryRow], str | None]:
    """Return the rows of a span by task id, and the reason why there may be more; raise `SeedanceError`.

    Each pass reads pages until one is empty. The last pass must list no task twice, as many tasks as the
    vendor counts, and every task that earlier passes listed. While tasks are made, rows move from page to
    page, so later passes end with the newest task of the first: tasks made since then move nothing there.
    """
    rows: dict[str, HistoryRow] = {}
    doubt: str | None = None
    for _ in range(_PASSES):
        listed, total, doubt = await _read_pass(client, start, end)
        task_ids = {row.task_id for row in listed}
        unlisted = rows.keys() - task_ids
        rows |= {row.task_id: row for row in listed}
        if doubt is not None:
            return rows, doubt
        if len(listed) > len(task_ids):
            doubt = "the history lists a task twice, so that another may be missing"
        elif total is not None and total != len(listed):
            doubt = f"the history counts {counted(total, 'task')} and lists {len(listed)}"
        elif unlisted:
            doubt = f"the history no longer lists {counted(len(unlisted), 'task')} that it listed before"
        else:
            return rows, None
        end = min([end, *sorted(_times(listed), reverse=True)[:1]])
    return rows, doubt


async def _read_pass(
    client: SeedanceClient, start: datetime, end: datetime
) -> tuple[list[HistoryRow], int | None, str | None]:
    """Return the rows of all pages in order, the vendor's count, and the reason why there may be more."""
    listed: list[HistoryRow] = []
    seen: set[str] = set()
    total: int | None = None
    for number in range(1, _MAX_PAGES + 1):
        page = await client.history(start=start, end=end, page=number, page_size=_PAGE_SIZE)
        total = page.total
        if not page.rows:
            return listed, total, None
        listed += page.rows
        if seen.issuperset(row.task_id for row in page.rows):
            return listed, total, f"page {number} of the history repeats rows of earlier pages"
        seen.update(row.task_id for row in page.rows)
    return listed, total, f"the history since {start:%Y-%m-%d %H:%M} UTC has more than {_MAX_PAGES} pages"


def _dated(task: Task, row: HistoryRow) -> Task:
    """Return a task with the time at which it was made, from its row where its own `meta` is missing."""
    return task if task.created_at else task.model_copy(update={"created_at": row.created_at})


def _times(rows: Iterable[HistoryRow]) -> list[datetime]:
    return [row.created_at for row in rows if row.created_at is not None]


def _misdated(rows: Mapping[str, HistoryRow], known: Iterable[KnownTask]) -> str | None:
    """Return a task of ours whose time in the history is not its own; None where all agree."""
    for task in known:
        listed_at = rows[task.task_id].created_at if task.task_id in rows else None
        if listed_at is not None and abs(listed_at - task.created_at) > NEARLY:
            return task.task_id
    return None


async def _lists_unfinished(
    worker: Worker, rows: Mapping[str, HistoryRow], known: Iterable[KnownTask]
) -> bool:
    """Return True where a row was ever seen whose task was still running, as a GET of the task confirms.

    Its row alone is no proof: a history of finished tasks may call them running for a while.
    """
    observations, name = worker.services.ledger.observations, of_account(LISTS_UNFINISHED, worker)
    if await in_thread(observations.recall, name):
        return True
    ended = {task.task_id for task in known if not task.running}
    shown = [row.task_id for row in rows.values() if is_unfinished(row) and row.task_id not in ended]
    for task_id in shown[:_ON_TRIAL]:
        try:
            task = await worker.client.get_task(task_id)
        except NotFoundError:
            continue
        if task.status in _UNFINISHED:
            await in_thread(observations.remember, {name: 1})
            return True
    return False


def _other_types(
    rows: Mapping[str, HistoryRow], known: Sequence[KnownTask], types: Iterable[str]
) -> frozenset[str]:
    """Return the task types in the history that are certainly not the orders'.

    The history's type names are trusted only where rows of our own tasks confirm them: a row for each order's
    type and one for the other type, and no row of ours under a name that is not its type.
    """
    names = {(rows[task.task_id].task_type, task.task_type) for task in known if task.task_id in rows}
    if any(name != task_type for name, task_type in names):
        return frozenset()
    shown = frozenset(task_type for _, task_type in names)
    wanted = frozenset(types)
    return shown - wanted if wanted <= shown else frozenset()


async def _read_tasks(worker: Worker, task_ids: Iterable[str]) -> tuple[list[Task], str | None]:
    """Return tasks by their ids, and the id of one that the vendor does not find."""
    tasks, unread = [], None
    for task_id in task_ids:
        key = (worker.client.account_name, task_id)
        task = _cached_tasks.get(key)
        if task is None:
            try:
                task = await worker.client.get_task(task_id)
            except NotFoundError:
                unread = task_id
                continue
            if len(_cached_tasks) >= _MAX_CACHED_TASKS:
                _cached_tasks.clear()
            if task.input:
                _cached_tasks[key] = task
        tasks.append(task)
    return tasks, unread


def is_unfinished(row: HistoryRow) -> bool:
    """Return True while a task is running at the vendor."""
    return status_meaning(row.status) in _UNFINISHED
