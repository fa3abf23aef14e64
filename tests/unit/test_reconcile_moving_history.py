"""Scans of a history whose rows move from page to page while it is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from seedance_dagster.api.wire import HistoryPage, HistoryRow
from seedance_dagster.engine.reconcile.history import read_rows

BEGIN = datetime(2026, 4, 6, 9, tzinfo=UTC)
DAY = timedelta(days=1)


class MovingHistory:
    """A history, newest first, in which something happens before each page is read."""

    def __init__(self, tasks: int, *, happens=lambda _: None, counts: bool = True) -> None:
        self.now = BEGIN
        self.rows: list[HistoryRow] = []
        self.pages = 0
        self._happens, self._counts = happens, counts
        self.create(tasks)

    def create(self, tasks: int) -> None:
        for _ in range(tasks):
            self.now += timedelta(seconds=1)
            task = HistoryRow(
                task_id=f"t{self.now:%H%M%S}",
                task_type="seedance-2-fast",
                status="completed",
                points=1,
                created_at=self.now,
            )
            self.rows.insert(0, task)

    async def history(self, *, start, end, page, page_size) -> HistoryPage:
        self.pages += 1
        self._happens(self)
        rows = [row for row in self.rows if start <= row.created_at <= end + timedelta(seconds=1)]
        shown = rows[(page - 1) * page_size : page * page_size]
        return HistoryPage(rows=tuple(shown), total=len(rows) if self._counts else None)


@pytest.mark.parametrize("counts", [True, False])
async def test_tasks_that_are_made_meanwhile_leave_the_scan_complete(counts):
    """A second pass lists all that there was when the first began, however many follow."""
    history = MovingHistory(250, happens=lambda history: history.create(5), counts=counts)
    before = {row.task_id for row in history.rows}
    rows, doubt = await read_rows(history, BEGIN, BEGIN + DAY)
    assert (before - rows.keys(), doubt) == (set(), None)
    assert history.pages <= 9


async def test_a_history_that_does_not_change_is_read_once():
    """Two pages and an empty one."""
    history = MovingHistory(150)
    assert (await read_rows(history, BEGIN, BEGIN + DAY))[1] is None
    assert history.pages == 3


async def test_a_task_that_is_not_listed_again_is_a_doubt():
    """The last pass must list all that the first one listed, or others may be missing too."""

    def forget(history: MovingHistory) -> None:
        if history.pages == 2:
            history.create(1)  # the first pass ends in another count
        if history.pages == 4:
            del history.rows[3]

    history = MovingHistory(150, happens=forget)
    rows, doubt = await read_rows(history, BEGIN, BEGIN + DAY)
    assert doubt == "the history no longer lists 1 task that it listed before"
    assert len(rows) >= 150


async def test_a_history_that_ignores_the_end_of_the_span_is_a_doubt():
    """It lists tasks twice in each pass."""
    history = MovingHistory(250, happens=lambda history: history.create(5))
    page_of = history.history

    async def endless(**query) -> HistoryPage:
        return await page_of(**query | {"end": BEGIN + DAY})

    history.history = endless
    _, doubt = await read_rows(history, BEGIN, BEGIN + DAY)
    assert doubt == "the history lists a task twice, so that another may be missing"
