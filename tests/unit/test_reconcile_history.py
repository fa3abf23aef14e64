"""Reconciliation: how the vendor's history is read, and when it proves nothing."""

from __future__ import annotations

import pytest

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError
from seedance_dagster.engine.reconcile import history
from seedance_dagster.ledger.order import State


def test_a_task_that_the_history_lists_late_is_adopted(start_engine, clock):
    """Until then the account's balance speaks against its absence, longer than any grace period."""
    engine = start_engine(history_lag_seconds=3000)
    engine.lose("a cat")
    for _ in range(4):
        clock.forward(seconds=700)
        [order] = engine.reconcile().uncertain
        assert order.error_message == "0.4 USD left the account for no task that is known"
    clock.forward(seconds=200)
    assert len(engine.reconcile().adopted) == 1


def test_a_history_that_lacks_a_known_task_proves_nothing(start_engine, clock):
    """What is known to exist and is not listed shows that others may be missing as well."""
    engine = start_engine(history_lag_seconds=1000, render_seconds=10_000)
    engine.place("a dog")
    [known] = engine.submit()
    engine.lose("a cat", fault="500-before")
    engine.reconcile_twice()
    assert engine.doubts() == [f"the history does not list task {known.task_id}, which exists"]
    clock.forward(seconds=400)
    engine.reconcile_twice()
    assert engine.states() == [State.SUBMITTED, State.QUEUED]


def test_a_second_page_is_read(engine, clock):
    """A task behind a hundred newer ones is found."""
    engine.lose("a cat")
    for number in range(105):
        engine.create_out_of_band(f"dog {number}")
    assert len(engine.reconcile().adopted) == 1
    assert engine.app.state.emulator.traffic.calls["history"] == 2


def test_a_history_that_is_too_long_proves_nothing(engine, clock, monkeypatch):
    """The page limit is told, with the window's begin; what was found is adopted all the same."""
    monkeypatch.setattr(history, "_MAX_PAGES", 1)
    engine.lose("a cat", fault="500-before")
    for number in range(101):
        engine.create_out_of_band(f"dog {number}")
    engine.reconcile_twice()
    assert engine.doubts() == ["the history since 2026-04-05 18:00 UTC has more than 1 pages"]


def test_a_history_that_grows_while_it_is_read_is_caught_up_with(engine, clock, monkeypatch):
    """What moved from one page to the next is read by another pass."""
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
    assert [each.order_id for each in engine.reconcile().adopted] == [order.order_id]
    assert seen == [1, 2, 3, 1]


def test_a_history_that_counts_more_than_it_lists_proves_nothing(engine, clock, monkeypatch):
    """Rows that are never shown may be the one that is looked for."""
    engine.lose("a cat", fault="500-before")
    page_of = SeedanceClient.history

    async def hiding(self, **query):
        return (await page_of(self, **query)).model_copy(update={"total": 1})

    monkeypatch.setattr(SeedanceClient, "history", hiding)
    engine.reconcile_twice()
    assert engine.doubts() == ["the history counts 1 tasks and lists 0"]


def test_a_history_without_a_count_ends_with_an_empty_page(engine, clock, monkeypatch):
    """Where the vendor tells no total, a page that brings nothing new is the last."""
    engine.lose("a cat")
    for number in range(120):
        engine.create_out_of_band(f"dog {number}")
    page_of = SeedanceClient.history

    async def uncounted(self, **query):
        return (await page_of(self, **query)).model_copy(update={"total": None})

    monkeypatch.setattr(SeedanceClient, "history", uncounted)
    assert len(engine.reconcile().adopted) == 1


def test_a_listed_task_that_cannot_be_read_proves_nothing(engine, clock, monkeypatch):
    """It may be the one that is looked for."""
    engine.lose("a cat", fault="500-before")
    task_id = engine.create_out_of_band("somebody's dog")

    async def gone(_self, _task_id):
        raise NotFoundError("no such task")

    monkeypatch.setattr(SeedanceClient, "get_task", gone)
    engine.reconcile_twice()
    assert engine.doubts() == [f"task {task_id} is in the history but cannot be read"]


def test_a_stranger_s_old_task_is_read_once_by_a_process(engine, clock):
    """What was made long before the order is only compared, so one look is enough."""
    engine.create_out_of_band("somebody's dog")
    clock.forward(hours=2)
    engine.lose("a cat", fault="500-before")
    for _ in range(4):
        clock.forward(seconds=60)
        engine.reconcile()
    assert engine.app.state.emulator.traffic.calls["get"] == 1


def test_a_stranger_s_equal_task_from_before_the_order_is_not_taken(engine, clock):
    """It is neither adopted nor is the order freed: a person decides."""
    engine.create_out_of_band("a cat")
    clock.forward(hours=2)
    engine.lose("a cat", fault="500-before")
    engine.reconcile_twice()
    [reason] = engine.doubts()
    assert reason == (
        "a task without an order has the same text but other parameters, was made before the order, or does "
        "not report its text"
    )


@pytest.fixture
def echo(monkeypatch):
    """Lets the vendor tell tasks and rows of its history otherwise than they were asked for."""

    def change(**input_: object) -> None:
        get_task = SeedanceClient.get_task

        async def changed(self, task_id):
            task = await get_task(self, task_id)
            return task.model_copy(update={"input": task.input | input_ if input_ else {}})

        monkeypatch.setattr(SeedanceClient, "get_task", changed)

    return change


@pytest.mark.parametrize("given", [{}, {"prompt": None}, {"prompt": ["a", "cat"]}, {"prompt": " "}])
def test_a_task_that_does_not_tell_its_text_may_be_the_order_s(engine, clock, echo, given):
    """Neither is it adopted nor is the order freed: a person decides."""
    engine.lose("a cat")
    echo(**given)
    engine.reconcile_twice()
    [reason] = engine.doubts()
    assert reason.endswith("or does not report its text")


def test_no_clock_makes_a_silent_task_somebody_else_s(engine, clock, echo):
    """A task whose time is hours before the order's may have a clock that is wrong: a person decides."""
    engine.create_out_of_band("somebody's dog")
    clock.forward(hours=2)
    engine.lose("a cat", fault="500-before")
    echo()
    engine.reconcile_twice()
    assert engine.states() == [State.UNCERTAIN]


@pytest.mark.parametrize("text", ["a  cat", " a cat\n", "a\r\ncat"])
def test_a_text_is_known_whatever_its_blanks(engine, echo, text):
    """A vendor that trims what it was sent still tells the same task."""
    engine.lose("a cat")
    echo(prompt=text)
    assert len(engine.reconcile().adopted) == 1


def test_a_task_of_an_unknown_type_is_read_by_itself(engine, monkeypatch):
    """The history may call what was made by another word than it was asked for by."""
    engine.lose("a cat")
    page_of = SeedanceClient.history

    async def other_words(self, **query):
        page = await page_of(self, **query)
        rows = [row.model_copy(update={"task_type": "video_generation"}) for row in page.rows]
        return page.model_copy(update={"rows": tuple(rows)})

    monkeypatch.setattr(SeedanceClient, "history", other_words)
    assert len(engine.reconcile().adopted) == 1
