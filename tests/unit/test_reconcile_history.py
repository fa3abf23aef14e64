"""Reconciliation: scans of the vendor's history, complete or not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError
from seedance_dagster.engine.reconcile import history
from seedance_dagster.ledger.order import State


def believe_in_running_rows(engine):
    """Note that the account's history was seen to list running tasks."""
    engine.ledger.observations.remember({f"{history.LISTS_UNFINISHED} of account {engine.account_name}": 1})


def test_a_task_that_the_history_lists_late_is_adopted(start_known, clock):
    """Until then its absence is not proved, beyond any grace period."""
    engine = start_known(history_lag_seconds=3000)
    engine.lose("a cat")
    clock.forward(seconds=5)
    engine.know()
    for _ in range(4):
        clock.forward(seconds=700)
        engine.poll()
        assert engine.reconcile().adopted == ()
    clock.forward(seconds=195)
    assert len(engine.reconcile().adopted) == 1


def test_a_history_that_lacks_a_known_task_proves_nothing(start_known, clock):
    """A known task that is not listed shows that others may be missing too."""
    engine = start_known(history_lag_seconds=1000, render_seconds=10_000)
    believe_in_running_rows(engine)
    engine.place("a dog")
    [running] = engine.submit()
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=600)
    engine.create_out_of_band("another dog")
    engine.reconcile()
    assert engine.doubts() == [f"the history does not list task {running.task_id}, which exists"]
    clock.forward(seconds=1000)
    engine.reconcile()
    clock.forward(seconds=600)
    engine.reconcile()
    assert engine.states() == [State.SUBMITTED, State.QUEUED]


def test_without_a_task_of_later_an_absence_is_proved_when_all_time_is_over(known, clock):
    """A late history and one in which nothing happens look alike: a day later they do not."""
    engine = known
    engine.lose("a cat", fault="500-before")
    for _ in range(2):
        clock.forward(seconds=700)
        engine.reconcile()
    [doubt] = engine.doubts()
    assert doubt.startswith("the history lists no task from after 2026-04-06 ")
    clock.forward(hours=13)
    engine.reconcile()
    clock.forward(seconds=600)
    assert len(engine.reconcile().requeued) == 1


def test_a_window_that_the_history_does_not_reach_back_to_is_not_proved(engine, clock):
    """A task that the history has forgotten, or never showed, is not seen to be absent."""
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=700)
    engine.reconcile_twice()
    [doubt] = engine.doubts()
    assert doubt.startswith("the history lists no task from before 2026-04-06 ")
    clock.forward(days=3)
    engine.reconcile_twice()
    assert engine.states() == [State.UNCERTAIN]


def test_a_single_task_of_long_ago_shows_how_far_a_history_reaches(engine, clock):
    """On an account that is used now and then, the history goes back further than a day."""
    engine.know()
    clock.forward(days=9)
    engine.poll()
    engine.know()
    engine.lose("a cat", fault="500-before")
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]


@pytest.fixture
def page(monkeypatch):
    """Lets the history answer otherwise: a function gets its real page and the query."""

    def change(changed) -> None:
        page_of = SeedanceClient.history

        async def history(self, **query):
            return changed(await page_of(self, **query), query)

        monkeypatch.setattr(SeedanceClient, "history", history)

    return change


def test_a_history_that_ignores_the_page_proves_nothing(known, clock, monkeypatch):
    """A page that was seen before is unreadable: what stands on the others is unknown."""
    engine = known
    engine.lose("a cat", fault="500-before")
    page_of = SeedanceClient.history

    async def first_page(self, **query):
        return await page_of(self, **query | {"page": 1})

    monkeypatch.setattr(SeedanceClient, "history", first_page)
    engine.reconcile_twice()
    assert engine.doubts() == ["page 2 of the history repeats rows of earlier pages"]


@pytest.mark.parametrize("extra", [-1, 1])
def test_a_history_that_miscounts_proves_nothing(known, clock, page, extra):
    """It lists less, or more, than the vendor counts."""
    engine = known
    engine.lose("a cat", fault="500-before")
    page(lambda answer, _: answer.model_copy(update={"total": answer.total + extra}))
    engine.reconcile_twice()
    [doubt] = engine.doubts()
    assert re.fullmatch(r"the history counts \d tasks? and lists \d", doubt)


def test_a_history_that_lists_a_task_twice_proves_nothing(known, clock, page):
    """In its place another may be missing."""
    engine = known
    engine.lose("a cat", fault="500-before")

    def doubled(answer, _):
        return answer.model_copy(update={"rows": answer.rows[:1] + answer.rows, "total": None})

    page(doubled)
    engine.reconcile_twice()
    assert engine.doubts() == ["the history lists a task twice, so that another may be missing"]


@pytest.mark.parametrize("word", ["seedance-2", "video_generation", ""])
def test_a_history_that_names_other_types_is_not_believed(known, clock, page, word):
    """Rows of ours under another type's name show that names mean nothing: every task is read."""
    engine = known
    engine.lose("a cat")

    def renamed(answer, _):
        rows = [replace(row, task_type=word) for row in answer.rows]
        return answer.model_copy(update={"rows": tuple(rows)})

    page(renamed)
    assert len(engine.reconcile().adopted) == 1


def test_tasks_of_types_that_own_rows_prove_are_not_read(known, clock):
    """Another type's tasks need no look where rows of ours show what the names of both types mean."""
    engine = known
    believe_in_running_rows(engine)
    engine.know(task_type="seedance-2")
    for task_type in ("seedance-2", "seedance-2-fast"):
        engine.create_out_of_band("another dog", task_type=task_type)
    clock.forward(seconds=60)
    engine.lose("a cat", fault="500-before")
    read = engine.app.state.emulator.traffic.calls["get"]
    clock.forward(seconds=5)
    engine.create_out_of_band("another bird", task_type="seedance-2")
    engine.create_out_of_band("another bird")
    engine.reconcile()
    assert engine.app.state.emulator.traffic.calls["get"] == read + 2


def test_a_second_page_is_read(engine, clock):
    """A task that is listed after a hundred newer ones is found."""
    engine.lose("a cat")
    for number in range(105):
        engine.create_out_of_band(f"dog {number}")
    assert len(engine.reconcile().adopted) == 1
    assert engine.app.state.emulator.traffic.calls["history"] == 4  # an empty page, and one of before


def test_a_history_that_is_too_long_proves_nothing(known, clock, monkeypatch):
    """The reason names the page limit and the window's start; nothing is adopted by it either."""
    engine = known
    monkeypatch.setattr(history, "_MAX_PAGES", 1)
    engine.lose("a cat", fault="500-before")
    [lost] = engine.lose("a dog")
    engine.reconcile_twice()
    doubts = engine.doubts()
    assert doubts[0].endswith(" has more than 1 pages")
    assert doubts[1].startswith("task ")
    assert engine.read(lost)[0].state is State.UNCERTAIN


def test_a_history_that_grows_while_it_is_read_is_caught_up_with(engine, clock, monkeypatch):
    """A row that moved to the next page is read by another pass."""
    [order] = engine.lose("a cat")
    for number in range(199):
        engine.create_out_of_band(f"dog {number}")
    page_of = SeedanceClient.history
    seen = []

    async def growing(self, **query):
        seen.append(query["page"])
        read = await page_of(self, **query)
        if len(seen) == 1:
            # A task among those just read: what stood at the page's end stands at the next one's start.
            late = read.rows[50]
            return read.model_copy(update={"rows": tuple(row for row in read.rows if row != late)})
        return read

    monkeypatch.setattr(SeedanceClient, "history", growing)
    assert [adopted.order_id for adopted in engine.reconcile().adopted] == [order.order_id]
    assert seen == [1, 2, 3, 1, 2, 3, 1]


def test_a_history_without_a_count_ends_with_an_empty_page(engine, clock, monkeypatch):
    """Without a total, a page that brings nothing new is the last."""
    engine.lose("a cat")
    for number in range(120):
        engine.create_out_of_band(f"dog {number}")
    page_of = SeedanceClient.history

    async def uncounted(self, **query):
        return (await page_of(self, **query)).model_copy(update={"total": None})

    monkeypatch.setattr(SeedanceClient, "history", uncounted)
    assert len(engine.reconcile().adopted) == 1


def test_a_listed_task_that_cannot_be_read_proves_nothing(known, clock, monkeypatch):
    """It may be the missing task."""
    engine = known
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=1)
    task_id = engine.create_out_of_band("another dog")

    async def gone(_self, _task_id):
        raise NotFoundError("no such task")

    with monkeypatch.context() as patch:
        patch.setattr(SeedanceClient, "get_task", gone)
        engine.reconcile()
    assert engine.doubts() == [f"task {task_id} is in the history but cannot be read"]


def test_an_unmatched_task_is_read_once_in_a_process(known, clock):
    """A task's request never changes, and one from before the order's POST is not read at all."""
    engine = known
    believe_in_running_rows(engine)
    engine.create_out_of_band("another dog")
    clock.forward(hours=2)
    engine.know()
    engine.lose("a cat", fault="500-before")
    engine.create_out_of_band("another bird")
    read = engine.app.state.emulator.traffic.calls["get"]
    for _ in range(4):
        clock.forward(seconds=60)
        engine.reconcile()
    assert engine.app.state.emulator.traffic.calls["get"] == read + 1


def test_another_account_s_key_settles_nothing(known, clock):
    """The order waits for the key it was sent with, is never requeued by another one, and says so."""
    engine = known
    engine.place("a bird")
    engine.submit()
    [order] = engine.lose("a cat", fault="500-before")
    ours = engine.services
    # The same emulator under another address: another account, as far as anybody can see.
    engine.services = replace(ours, open_client=lambda: engine.open_client("http://localhost"))
    for _ in range(3):
        clock.forward(hours=5)
        engine.poll()
        assert engine.reconcile(now=True).requeued == ()
    [doubt] = engine.doubts()
    assert doubt.startswith(f"order {order.order_id} was sent with another API key")
    engine.services = ours
    engine.reconcile_twice()
    assert engine.states() == [State.SUCCEEDED, State.QUEUED]


@pytest.mark.parametrize("settings", [{"history_empty_page": "null"}, {"history_model_filter": "empty"}])
def test_an_odd_history_still_proves_an_absence(start_known, settings):
    """A null page is an empty page, and no filter by model is sent."""
    engine = start_known(**settings)
    engine.lose("a cat", fault="500-before")
    engine.reconcile_twice()
    assert engine.states() == [State.QUEUED]
