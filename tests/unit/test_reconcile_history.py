"""Reconciliation: scans of the vendor's history, complete or not."""

from __future__ import annotations

import pytest

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError
from seedance_dagster.engine.reconcile import history
from seedance_dagster.ledger.order import State


def test_a_task_that_the_history_lists_late_is_adopted(start_engine, clock):
    """Until then the account's balance contradicts its absence, beyond any grace period."""
    engine = start_engine(history_lag_seconds=3000)
    engine.lose("a cat")
    for _ in range(4):
        clock.forward(seconds=700)
        [order] = engine.reconcile().uncertain
        assert order.error_message == "0.4 USD left the account for no task that is known"
    clock.forward(seconds=200)
    assert len(engine.reconcile().adopted) == 1


def test_a_history_that_lacks_a_known_task_proves_nothing(start_engine, clock):
    """A known task that is not listed shows that others may be missing too."""
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
    """The reason names the page limit and the window's start; a task that was found is adopted anyway."""
    monkeypatch.setattr(history, "_MAX_PAGES", 1)
    engine.lose("a cat", fault="500-before")
    for number in range(101):
        engine.create_out_of_band(f"dog {number}")
    engine.reconcile_twice()
    assert engine.doubts() == ["the history since 2026-04-05 18:00 UTC has more than 1 pages"]


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
    assert [each.order_id for each in engine.reconcile().adopted] == [order.order_id]
    assert seen == [1, 2, 3, 1]


def test_a_history_that_counts_more_than_it_lists_proves_nothing(engine, clock, monkeypatch):
    """A row that is never listed may be the missing task."""
    engine.lose("a cat", fault="500-before")
    page_of = SeedanceClient.history

    async def hiding(self, **query):
        return (await page_of(self, **query)).model_copy(update={"total": 1})

    monkeypatch.setattr(SeedanceClient, "history", hiding)
    engine.reconcile_twice()
    assert engine.doubts() == ["the history counts 1 tasks and lists 0"]


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


def test_a_listed_task_that_cannot_be_read_proves_nothing(engine, clock, monkeypatch):
    """It may be the missing task."""
    engine.lose("a cat", fault="500-before")
    task_id = engine.create_out_of_band("another dog")

    async def gone(_self, _task_id):
        raise NotFoundError("no such task")

    monkeypatch.setattr(SeedanceClient, "get_task", gone)
    engine.reconcile_twice()
    assert engine.doubts() == [f"task {task_id} is in the history but cannot be read"]


def test_an_old_unmatched_task_is_read_once_in_a_process(engine, clock):
    """A task from long before the order is only compared, so one read is enough."""
    engine.create_out_of_band("another dog")
    clock.forward(hours=2)
    engine.lose("a cat", fault="500-before")
    for _ in range(4):
        clock.forward(seconds=60)
        engine.reconcile()
    assert engine.app.state.emulator.traffic.calls["get"] == 1


def test_an_equal_task_from_before_the_order_is_not_adopted(engine, clock):
    """The task is not adopted and the order not requeued: a person decides."""
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
    """Lets the vendor report other tasks and history rows than were requested."""

    def change(**input_: object) -> None:
        get_task = SeedanceClient.get_task

        async def changed(self, task_id):
            task = await get_task(self, task_id)
            return task.model_copy(update={"input": task.input | input_ if input_ else {}})

        monkeypatch.setattr(SeedanceClient, "get_task", changed)

    return change


@pytest.mark.parametrize("given", [{}, {"prompt": None}, {"prompt": ["a", "cat"]}, {"prompt": " "}])
def test_a_task_that_reports_no_text_may_be_the_order_s(engine, clock, echo, given):
    """The task is not adopted and the order not requeued: a person decides."""
    engine.lose("a cat")
    echo(**given)
    engine.reconcile_twice()
    [reason] = engine.doubts()
    assert reason.endswith("or does not report its text")


def test_a_task_that_reports_no_text_is_ambiguous_whatever_its_time(engine, clock, echo):
    """The clock of a task from hours before the order may be wrong: a person decides."""
    engine.create_out_of_band("another dog")
    clock.forward(hours=2)
    engine.lose("a cat", fault="500-before")
    echo()
    engine.reconcile_twice()
    assert engine.states() == [State.UNCERTAIN]


@pytest.mark.parametrize("text", ["a  cat", " a cat\n", "a\r\ncat"])
def test_a_text_matches_whatever_its_whitespace(engine, echo, text):
    """A task whose text the vendor trimmed is still the order's."""
    engine.lose("a cat")
    echo(prompt=text)
    assert len(engine.reconcile().adopted) == 1


def test_a_task_of_an_unknown_type_is_read_on_its_own(engine, monkeypatch):
    """The history may name the type of a task otherwise than the request did."""
    engine.lose("a cat")
    page_of = SeedanceClient.history

    async def other_words(self, **query):
        page = await page_of(self, **query)
        rows = [row.model_copy(update={"task_type": "video_generation"}) for row in page.rows]
        return page.model_copy(update={"rows": tuple(rows)})

    monkeypatch.setattr(SeedanceClient, "history", other_words)
    assert len(engine.reconcile().adopted) == 1
