"""The lifecycle as a table: the next step of an order, from what is known of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOW, make_order, make_task
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api import errors
from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.engine.lifecycle import (
    Collect,
    End,
    KeepPolling,
    NeedsReconciliation,
    QueueAgain,
    after_poll,
    after_refused_post,
    poll_delay,
    task_columns,
    transfer_delay,
)
from seedance_dagster.engine.policy import Pacing
from seedance_dagster.ledger.order import State

URL = "https://files.example.com/v.mp4"
COMPLETED, FAILED = TaskStatus.COMPLETED, TaskStatus.FAILED
VENDOR = ("upstream error 502",)


def polled(task, order=None, *, render_s=None, jitter=0.0):
    return after_poll(order or make_order(), task, now=NOW, render_s=render_s, jitter=jitter, pacing=Pacing())


@pytest.mark.parametrize(
    ("status", "url"),
    [
        (TaskStatus.PENDING, None),
        (TaskStatus.PROCESSING, None),
        (TaskStatus.STAGED, None),
        (TaskStatus.UNKNOWN, None),
        (TaskStatus.PENDING, URL),
        (TaskStatus.PROCESSING, URL),
    ],
)
def test_a_running_task_is_polled_again(status, url):
    """No status but completed and failed ends a task, with a link or without."""
    step = polled(make_task(status=status, video_url=url))
    assert isinstance(step, KeepPolling)
    assert step.due_at > NOW
    assert step.seen["video_url"] == url


def test_a_finished_task_is_collected():
    """A completed task with a link is collected, and its charge is kept."""
    step = polled(make_task(status=COMPLETED, video_url=URL, points_charged=4_000_000))
    assert isinstance(step, Collect)
    assert (step.seen["video_url"], step.seen["points_charged"]) == (URL, 4_000_000)


@pytest.mark.parametrize(("url", "charged"), [(URL, 0), (URL, None), (None, 4_000_000)])
def test_only_a_task_with_a_link_and_a_charge_is_collected_after_another_end(url, charged):
    """A task that is called expired once its video was paid for is collected; any other has ended."""
    task = make_task(status=TaskStatus.ENDED, raw_status="expired", video_url=URL, points_charged=4_000_000)
    assert isinstance(polled(task), Collect)
    ended = polled(task.model_copy(update={"video_url": url, "points_charged": charged}))
    assert isinstance(ended, End)
    assert ended.state is State.FAILED


@pytest.mark.parametrize(("polls", "seconds"), [(0, 2), (1, 4), (4, 10), (30, 62), (10_000, 62)])
def test_a_finished_task_without_a_link_is_polled_again(polls, seconds):
    """A completed task without a link is polled again, at growing intervals, with the reason."""
    step = polled(make_task(status=COMPLETED), make_order(polls=polls))
    assert isinstance(step, KeepPolling)
    assert step.due_at == NOW + timedelta(seconds=seconds)
    assert "without a link" in step.seen["error_message"]


@pytest.mark.parametrize(
    ("logs", "code", "message", "state", "error_class"),
    [
        (("content moderation",), 10003, "failed", State.REJECTED, "moderation"),
        (("a real person in image 1",), 10000, "failed", State.REJECTED, "real_person"),
        ((), 10003, "failed", State.REJECTED, "moderation"),
        (VENDOR, 10000, "failed", State.FAILED, "vendor"),
        (("invalid image",), 10000, "failed", State.FAILED, "invalid"),
        ((), 10000, "odd", State.FAILED, "unknown"),
    ],
)
def test_a_failed_task_ends_by_its_class(logs, code, message, state, error_class):
    """Moderation rejects an order, everything else fails it, each with the vendor's words."""
    failed = {"points_held": 0, "points_charged": 0, "error_code": code, "error_message": message}
    step = polled(make_task(status=FAILED, logs=logs, **failed))
    assert isinstance(step, End)
    assert (step.state, step.error_class) == (state, error_class)
    assert step.reason == (logs[0] if logs else message)
    assert (step.retry_at is not None) == (error_class == "vendor")


@pytest.mark.parametrize(
    ("retries", "held", "charged", "again"),
    [
        (1, 0, 0, True),
        (5, 0, 0, True),
        (0, 0, 0, False),
        (1, 0, 1, False),
        (1, 4_000_000, 0, False),
        (1, 0, None, False),
    ],
)
def test_vendor_trouble_is_retried_while_attempts_remain_and_the_points_came_back(
    retries, held, charged, again
):
    """Another attempt needs a retry that is left, and a vendor that reports neither hold nor charge."""
    task = make_task(status=FAILED, logs=VENDOR, error_code=10000, points_held=held, points_charged=charged)
    step = polled(task, make_order(retries=retries))
    assert isinstance(step, End)
    assert step.retry_at == (NOW + timedelta(seconds=30) if again else None)


@pytest.mark.parametrize(
    ("age_s", "render_s", "seconds"),
    [
        (0, None, 2),  # nothing is known: from the shortest delay on
        (100, None, 50),
        (10_000, None, 120),  # never rarer than every two minutes
        (0, 100, 90),  # young: first shortly before its expected end
        (79, 100, 11),
        (0, 1_000, 120),
        (80, 100, 10),  # around the expected end: densely
        (200, 100, 10),
        (100, 5, 50),
        (0, 1, 2),
        (201, 100, 100.5),  # late: ever more rarely
        (10_000, 100, 120),
    ],
)
def test_polls_are_frequent_around_the_expected_end(age_s, render_s, seconds):
    """The delay depends on the task's age and on how long such tasks took."""
    assert poll_delay(age_s, render_s, jitter=0, pacing=Pacing()) == pytest.approx(seconds)
    order = make_order(submitted_at=NOW - timedelta(seconds=age_s))
    assert polled(make_task(), order, render_s=render_s).due_at == NOW + timedelta(seconds=seconds)


@given(
    age_s=st.floats(0, 1e6),
    render_s=st.none() | st.floats(0, 1e5),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_a_delay_has_bounds(age_s, render_s, jitter):
    """A delay is at least two seconds, and at most two minutes plus a quarter of jitter."""
    delay = poll_delay(age_s, render_s, jitter=jitter, pacing=Pacing())
    assert 2 <= delay <= 150
    assert poll_delay(age_s, render_s, jitter=0, pacing=Pacing()) <= delay


def test_an_order_without_a_time_of_submission_counts_as_young():
    """A task that was adopted without a time is polled as if it had just been sent."""
    assert polled(make_task(), make_order(submitted_at=None)).due_at == NOW + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("error", "pause", "seconds"),
    [
        (errors.InsufficientCreditsError("no credits"), "credits", 60),
        (errors.PlanLimitError("too many", active=3), "plan limit", 5),
        (errors.RateLimitError("slow down"), "rate limit", 10),
        (errors.RateLimitError("slow down", retry_after_s=33), "rate limit", 33),
        (errors.AuthenticationError("bad key"), "credentials", 60),
        (errors.NotSentError("no network"), "network", 15),
        (errors.AddressError("elsewhere"), "address", 60),
    ],
)
def test_an_order_whose_post_made_no_task_is_queued_again(error, pause, seconds):
    """After each kind of refusal the order is queued again, and submitting pauses for that kind's time."""
    step = after_refused_post(error, now=NOW)
    assert step == QueueAgain(NOW + timedelta(seconds=seconds), pause, str(error))


def test_an_order_that_a_gateway_turns_away_again_lets_the_others_go_first():
    """Submitting pauses for a minute; the order itself waits twice as long after each further refusal."""
    for tries, seconds in [(1, 60), (2, 120), (3, 240), (100, 3840)]:
        step = after_refused_post(errors.GatewayError("a page"), now=NOW, tries=tries)
        due_at, pause_until = NOW + timedelta(seconds=seconds), NOW + timedelta(seconds=60)
        assert step == QueueAgain(due_at, "gateway", "a page", pause_until)


def test_a_refusal_for_the_vendor_s_own_trouble_is_tried_three_times():
    """No task was made, so nothing is paid; after the third the order ends."""
    error = errors.InvalidRequestError("upload timed out", failure="vendor")
    again = QueueAgain(NOW + timedelta(seconds=30), None, "upload timed out; this order is sent again")
    steps = [after_refused_post(error, now=NOW, tries=tries, retry_s=30) for tries in (1, 2, 3)]
    assert steps == [again, again, End(State.FAILED, "vendor", "upload timed out", {}, None)]


def test_a_reply_to_another_request_is_noted_as_such():
    """The order is reconciled, and its error class keeps it from being sent again without a person."""
    step = after_refused_post(errors.ForeignReplyError("task t"), now=NOW)
    assert step == NeedsReconciliation("task t", "foreign_reply")


def test_an_invalid_request_ends():
    """An invalid request stays invalid: the order ends without another attempt."""
    step = after_refused_post(errors.InvalidRequestError("no such ratio"), now=NOW)
    assert step == End(State.FAILED, "invalid", "no such ratio", {}, None)


@pytest.mark.parametrize("failure", ["moderation", "real_person"])
def test_a_post_refused_for_its_content_is_rejected(failure):
    """A prompt that moderation refused at once is not sent again unchanged."""
    step = after_refused_post(errors.InvalidRequestError("content", failure=failure), now=NOW)
    assert step == End(State.REJECTED, failure, "content", {}, None)


def every_error(root: type[errors.SeedanceError]) -> set[type[errors.SeedanceError]]:
    """Return an error and all that derive from it in the client's own module."""
    below = {kind for child in root.__subclasses__() for kind in every_error(child)}
    return {root} | {kind for kind in below if kind.__module__ == errors.__name__}


SAFE = {
    errors.InsufficientCreditsError,
    errors.PlanLimitError,
    errors.RateLimitError,
    errors.AuthenticationError,
    errors.NotSentError,
    errors.InvalidRequestError,
    errors.GatewayError,
    errors.AddressError,
    errors.ForeignReplyError,
    errors.UploadRefusedError,
}


@pytest.mark.parametrize(
    "kind", sorted(every_error(errors.SeedanceError) - SAFE, key=lambda kind: kind.__name__)
)
def test_after_any_other_error_a_post_may_have_been_paid_for(kind):
    """An error that does not prove that no task was made leads to reconciliation, unknown errors included."""
    assert after_refused_post(kind("lost"), now=NOW) == NeedsReconciliation("lost")


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 5), (1, 10), (4, 80), (7, 640), (8, 900), (100_000, 900)]
)
def test_failed_transfers_are_retried_at_growing_intervals(failures, seconds):
    """The wait doubles up to a quarter of an hour."""
    assert transfer_delay(failures, Pacing()) == seconds


@pytest.mark.parametrize("status", [COMPLETED, FAILED, TaskStatus.ENDED])
def test_a_task_whose_points_are_not_settled_is_looked_at_once_more(status):
    """Charge or refund may come a moment after the end; then the task is taken as it is."""
    over = {"status": status, "video_url": URL, "ended_at": NOW}
    unsettled = make_task(points_held=7, points_charged=0, **over)
    assert polled(unsettled).due_at == NOW + timedelta(seconds=2)
    seen_before = make_order(vendor_ended_at=NOW)
    assert not isinstance(polled(unsettled, seen_before), KeepPolling)
    for settled in (
        make_task(points_held=7, points_charged=7, **over),
        make_task(points_held=0, points_charged=0, **over),
        make_task(points_held=7, points_charged=0, **over | {"ended_at": None}),
    ):
        assert not isinstance(polled(settled), KeepPolling)


def test_the_ledger_keeps_the_hold_of_an_ended_task():
    """The hold of an ended task is kept, and an earlier error is cleared."""
    held = task_columns(make_task(points_held=7, logs=("a", "b"), ended_at=NOW))
    assert (held["points_held"], held["vendor_logs"], held["vendor_ended_at"]) == (7, ["a", "b"], NOW)
    assert held["error_message"] is None
    for status in (COMPLETED, FAILED):
        # Not settled by the vendor yet: nothing charged and all still held is not a charge of zero.
        unsettled = make_task(status=status, points_held=7, points_charged=0)
        assert task_columns(unsettled)["points_charged"] is None
    # A video that is reported as free counts with what was held for it.
    free = task_columns(make_task(status=COMPLETED, points_held=0, points_charged=0))
    assert (free["points_charged"], "points_held" in free) == (None, False)
    assert task_columns(make_task(status=FAILED, points_held=0, points_charged=0))["points_charged"] == 0
    for after_charging in (0, 7):
        assert "points_held" not in task_columns(make_task(points_held=after_charging, points_charged=7))
