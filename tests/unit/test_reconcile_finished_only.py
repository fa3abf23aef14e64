"""Reconciliation by a history that lists finished tasks only: what may still be running is not sent again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from seedance_dagster.api.wire import HistoryRow
from seedance_dagster.engine.reconcile.evidence import Patience, format_span
from seedance_dagster.engine.reconcile.history import is_unfinished
from seedance_dagster.ledger.order import State

_FAST, _PLAIN = "seedance-2-fast", "seedance-2"


def lose(engine, text, task_type):
    """Order a text of a type whose POST makes no task and gets no clear answer."""
    [order] = engine.place(text, task_type=task_type)
    engine.control("faults", **{"500-before": 1.0})
    engine.submit_only(order)
    engine.control("faults")
    return order


def look_twice(engine, clock):
    """Reconcile twice, a grace period apart, with a task of ours made and ended before each."""
    for _ in range(2):
        engine.know()
        clock.forward(seconds=700)
        engine.poll()
        engine.reconcile(now=True)


@pytest.mark.further
def test_an_order_waits_for_the_longest_time_of_its_own_type(start_known, clock):
    """A type whose tasks took hours on this account is waited for longer than another one."""
    engine = start_known(history_lists_unfinished=False, render_seconds=9 * 3600)
    engine.control("settings", render_seconds=600)
    engine.know(task_type=_PLAIN)
    slow, quick = lose(engine, "a cat", _FAST), lose(engine, "a dog", _PLAIN)
    for hours in (1, 11):
        look_twice(engine, clock)
        assert {order.state for order in engine.read(slow, quick)} == {State.UNCERTAIN}
        clock.forward(hours=hours)
    look_twice(engine, clock)
    assert [order.state for order in engine.read(slow, quick)] == [State.UNCERTAIN, State.QUEUED]
    clock.forward(hours=7)
    look_twice(engine, clock)
    assert engine.read(slow)[0].state is State.QUEUED


def test_the_reason_says_how_long_such_tasks_took_and_until_when_it_is_waited(start_known, clock):
    """A person sees why nothing is sent again yet, and when that ends."""
    engine = start_known(history_lists_unfinished=False, render_seconds=9 * 3600)
    engine.control("settings", render_seconds=600)
    lose(engine, "a cat", _FAST)
    look_twice(engine, clock)
    [doubt] = engine.doubts()
    assert doubt.startswith(
        "the history never listed an unfinished task, so the order's own may be running; nothing more"
    )
    assert doubt.endswith(
        "a seedance-2-fast task may take 18 h 3 min (the longest on this account took 9 h 2 min)"
    )


def test_a_task_that_runs_for_hours_is_adopted_once_it_is_listed(start_known, clock):
    """Its order was never sent again meanwhile."""
    engine = start_known(history_lists_unfinished=False)
    engine.control("settings", render_seconds=8 * 3600)
    [order] = engine.lose("a cat")
    engine.control("settings", render_seconds=600)
    for _ in range(7):
        look_twice(engine, clock)
        clock.forward(minutes=35)
        assert engine.read(order)[0].state is State.UNCERTAIN
    clock.forward(hours=1)
    look_twice(engine, clock)
    assert engine.read(order)[0].state is State.SUBMITTED
    assert engine.vendor.tasks_by_prompt["a cat"] == 1


def test_a_first_complete_history_is_shown_as_such(known, clock):
    """The reason says what was read, and what a second reading will mean."""
    engine = known
    engine.lose("a cat", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
    engine.reconcile()
    [doubt] = engine.doubts()
    assert doubt.startswith("the history of 2026-04-06 ")
    assert "is complete and has no task of the order; it is requeued if a scan after " in doubt


@pytest.mark.parametrize(
    ("longest", "over", "words"),
    [
        (None, timedelta(hours=12), "may take 12 h (none has ended on this account yet)"),
        (timedelta(minutes=5), timedelta(hours=12), "may take 12 h (the longest on this account took 5 min)"),
        (timedelta(hours=8), timedelta(hours=16), "may take 16 h (the longest on this account took 8 h)"),
    ],
)
def test_patience_is_never_shorter_than_the_peak_hours(longest, over, words):
    """Quick tasks of the night say nothing about a queue at noon."""
    patience = Patience(_FAST, timedelta(minutes=10), timedelta(hours=12), longest)
    assert patience.over == over
    assert str(patience) == f"a {_FAST} task {words}"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 min"), (1, "1 min"), (60, "1 min"), (3600, "1 h"), (3660.5, "1 h 1 min")]
)
def test_a_length_of_time_in_words(seconds, words):
    """Hours and minutes, rounded up to whole minutes."""
    assert format_span(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize("word", ["Pending", "in_progress", "RUNNING", "retrying\t", "TASK_STATUS_QUEUED"])
def test_the_words_of_a_history_are_those_of_tasks(word):
    """A running task is known as such in every spelling and tense, in the history as in the task itself."""
    row = HistoryRow(task_id="t", task_type="", status=word, points=None, created_at=None)
    assert is_unfinished(row)
    assert not is_unfinished(replace(row, status="finished"))
    assert not is_unfinished(replace(row, status="finalizing"))


@pytest.mark.parametrize("odd", [{"history_states_late_seconds": 3600}, {"history_wrong_share": 1.0}])
def test_finished_tasks_that_are_called_running_prove_nothing(start_known, clock, odd):
    """A row alone does not show that running tasks are listed, so a lost one that is not listed waits."""
    engine = start_known(history_lists_unfinished=False, render_seconds=60, **odd)
    engine.control("settings", render_seconds=4 * 3600)
    engine.lose("a cat")
    engine.control("settings", render_seconds=60, points=10**12)  # a payment hides the charge in the balance
    for _ in range(4):
        engine.know()
        clock.forward(minutes=12)
        engine.poll()
        engine.reconcile(now=True)
    [doubt] = engine.doubts()
    assert "never listed an unfinished task" in doubt
