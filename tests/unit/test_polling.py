"""The choice of the next poll: load, turns, and the reliability, pages and spans of the history."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOW
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.wire import HistoryRow
from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.polling.load import Load
from seedance_dagster.engine.polling.page import read_page
from seedance_dagster.engine.polling.reliability import Belief, Reliability
from seedance_dagster.engine.polling.sweep import PAGE_SIZE, Span, page_wait_s, spans
from seedance_dagster.ledger.work.leases import LONGEST_DELAY
from seedance_dagster.ledger.work.polls import FollowedTask

PACING = Pacing()
LOAD = Load(10_000, 10.0)
PROVEN = Reliability(in_time=20)
REFUTED = Reliability(refuted=20)


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def row(task_id: str, status: str) -> HistoryRow:
    return HistoryRow(task_id=task_id, task_type="seedance-2", status=status, points=None, created_at=NOW)


def running(*, age_s: float = 100, due_s: float = 50) -> FollowedTask:
    return FollowedTask(1, NOW - seconds(age_s), NOW + seconds(due_s), None)


def over(*, since_s: float | None) -> FollowedTask:
    ended_at = None if since_s is None else NOW - seconds(since_s)
    return FollowedTask(2, NOW - seconds(9000), None, ended_at)


def suggest(status: str, task: FollowedTask, record: Reliability = PROVEN):
    """Return what a page with one task of ours and one of another program suggests."""
    rows = [row("other", "finished"), row("ours", status)]
    return read_page(rows, {"ours": task}, now=NOW, load=LOAD, pacing=PACING, record=record)


@pytest.mark.parametrize(("tasks", "heavy"), [(0, False), (600, False), (601, True), (10_000, True)])
def test_the_load_is_heavy_where_gets_need_more_than_a_minute_for_all_tasks(tasks, heavy):
    """The load is heavy beyond 600 tasks at ten requests a second."""
    assert Load(tasks, 10.0).is_heavy(PACING) is heavy


@pytest.mark.parametrize(("tasks", "longest_s"), [(10, 120), (1200, 120), (3000, 300), (10_000, 960)])
def test_polls_spread_with_the_load(tasks, longest_s):
    """Young tasks are polled as often as the rate can serve, and never so late that a clock seems wrong."""
    longest = Load(tasks, 10.0).spread(PACING).max_poll_s
    assert longest == longest_s
    assert 1.25 * longest <= LONGEST_DELAY.total_seconds()


def test_a_page_suggests_which_task_is_polled_first_and_which_later():
    """Tasks that a page shows as ended come first, running ones later; an unknown word changes nothing."""
    for word in ("finished", "failed", "canceled", "Completed\t"):
        assert (suggest(word, running()).first, suggest(word, running()).later) == (("ours",), ())
    for word in ("waiting", "running", "staged"):
        assert (suggest(word, running()).first, suggest(word, running()).later) == ((), ("ours",))
    assert (suggest("finalizing", running()).first, suggest("finalizing", running()).later) == ((), ())


def test_only_a_proven_history_postpones_a_poll():
    """Only a proven history postpones polls; a refuted one may still have a few tasks polled first."""
    for record in (Reliability(), REFUTED):
        assert suggest("running", running(), record).later == ()
    names = [f"ours {number}" for number in range(50)]
    rows, known = [row(name, "finished") for name in names], dict.fromkeys(names, running())
    counts = {
        record.belief: len(read_page(rows, known, now=NOW, load=LOAD, pacing=PACING, record=record).first)
        for record in (Reliability(), PROVEN, REFUTED)
    }
    assert counts == {Belief.UNPROVEN: 50, Belief.PROVEN: 50, Belief.REFUTED: 3}


@pytest.mark.parametrize(
    ("status", "since_s", "checked"),
    [
        ("finished", 121, Reliability(in_time=1)),
        ("finished", 60, Reliability()),  # it had the time until now
        ("finished", 9000, Reliability()),  # that was another time
        ("running", 60, Reliability()),
        ("running", 121, Reliability(late=1)),
        ("running", 9000, Reliability(late=1)),
        ("running", None, Reliability()),
        ("finalizing", 121, Reliability()),
    ],
)
def test_a_page_is_checked_on_tasks_whose_end_is_known(status, since_s, checked):
    """A page is checked on tasks that ended over two minutes ago, but not long ago."""
    suggestion = suggest(status, over(since_s=since_s))
    assert (suggestion.checked, suggestion.first, suggestion.later) == (checked, (), ())


@pytest.mark.parametrize(
    ("record", "belief"),
    [
        (Reliability(confirmed=100), Belief.UNPROVEN),
        (Reliability(in_time=19), Belief.UNPROVEN),
        (Reliability(in_time=20), Belief.PROVEN),
        (Reliability(in_time=90, late=10), Belief.PROVEN),
        (Reliability(in_time=89, late=11), Belief.REFUTED),
        (Reliability(confirmed=89, refuted=11, in_time=90), Belief.REFUTED),
        (Reliability(refuted=19, in_time=90), Belief.PROVEN),
    ],
)
def test_a_history_is_believed_as_far_as_it_was_right(record, belief):
    """At least twenty statements decide if a history is believed; a tenth of them may be wrong."""
    assert record.belief is belief


@pytest.mark.parametrize("before", [Reliability(in_time=10_000), Reliability(confirmed=10_000)])
def test_a_history_that_turns_wrong_is_refuted_soon_and_may_recover(before):
    """A history that turns wrong is refuted soon, since old statements fade, and it may recover."""
    record = before + Reliability()
    for _ in range(4):
        record += Reliability(late=10) if before.in_time else Reliability(refuted=10)
    for _ in range(400):
        record += Reliability(late=10) if before.in_time else Reliability(refuted=10)
    assert record.belief is Belief.REFUTED
    for _ in range(400):
        record += Reliability(in_time=10, confirmed=10)
    assert record.belief is Belief.PROVEN


@given(
    tasks=st.integers(601, 200_000),
    ages=st.lists(st.floats(1, 900), min_size=1, max_size=400),
    own_s=st.floats(2, 1200),
)
def test_no_task_is_forgotten_whatever_the_history_shows(tasks, ages, own_s):
    """A history that shows a task as running at any times postpones no poll beyond the next turn.

    `ages` are the seconds from one page to the next, `own_s` the delay that a poll plans.
    """
    load, now, gap = Load(tasks, 10.0), 0.0, 0.0
    due, polled = own_s, 0.0
    for step in ages:
        now += step
        if due <= now:  # a worker polls it before the page comes
            gap, polled, due = max(gap, now - polled), now, now + own_s
        until = now + PACING.shown_running_s
        task = FollowedTask(1, NOW, NOW + seconds(due), None)
        if load.may_wait(task, until=NOW + seconds(until), now=NOW + seconds(now)):
            due = until
        assert due <= max(polled + own_s, (now // load.turn_s + 1) * load.turn_s + 1e-3)
    assert gap <= load.turn_s + own_s + max(ages)


@given(st.lists(st.integers(0, 100_000), max_size=500), st.none() | st.integers(0, 100_000))
def test_every_running_task_is_in_one_span(made, cursor):
    """Every running task is in one span of at most a page, wherever the last reading stopped."""
    created = [NOW + seconds(offset) for offset in made]
    found_spans = spans(created, before=None if cursor is None else NOW + seconds(cursor))
    assert sum(span.running for span in found_spans) == len(created)
    assert all(0 < span.running <= PAGE_SIZE and span.start <= span.end for span in found_spans)
    assert sorted(found_spans, key=lambda span: span.end, reverse=True) == spans(created, before=None)


def test_a_reading_goes_on_where_the_last_one_stopped():
    """A reading continues where the last one stopped, with older tasks before those already read."""
    created = [NOW + seconds(number) for number in range(300)]
    first, second, third = spans(created, before=None)
    assert (first.end, third.start) == (created[-1], created[0])
    assert spans(created, before=first.start) == [second, third, first]
    assert spans(created, before=third.start) == [first, second, third]


@pytest.mark.parametrize(
    ("still_running", "made", "pages"),
    [(100, 100, 1), (100, 101, 2), (100, 3300, 33), (100, 3400, 0), (2, 2, 0), (3, 50, 1), (50, 0, 1)],
)
def test_pages_are_read_where_they_show_enough_running_tasks(still_running, made, pages):
    """Pages are read only where they show enough running tasks, else GETs are as cheap."""
    assert Span(NOW, NOW, still_running).pages(made) == pages


@pytest.mark.parametrize(("record", "share"), [(Reliability(), 0.2), (PROVEN, 0.4), (REFUTED, 0.01)])
def test_pages_take_a_share_of_the_rate(record, share):
    """The share of pages in the rate grows with the reliability of the history."""
    assert page_wait_s(record, 10.0) == pytest.approx(1 / (10 * share))
