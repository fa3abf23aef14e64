"""The lifecycle as pure functions: what is learned about an order decides its next step.

    queued -> claimed -> submitted -> succeeded -> stored
                 |            |-> rejected  (by moderation)
                 |            |-> failed    (anything else; vendor trouble queues another attempt)
                 |-> queued    (refused by the POST, no task made)
                 |-> rejected | failed  (the content, or the request itself, was refused)
                 |-> uncertain (reply lost) -> submitted (adopted) | queued (no task exists)

Nothing here reads a clock, draws a random number or knows a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.api.errors import (
    AddressError,
    AuthenticationError,
    ForeignReplyError,
    GatewayError,
    InsufficientCreditsError,
    InvalidRequestError,
    NotSentError,
    PlanLimitError,
    RateLimitError,
    SeedanceError,
)
from seedance_dagster.api.failures import classify_failure
from seedance_dagster.api.refusals import FailureClass
from seedance_dagster.api.wire import Task, TaskStatus
from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.throttle import ADDRESS, CREDENTIALS, CREDITS
from seedance_dagster.ledger.order import FOREIGN_REPLY, UNFAMILIAR, Order, State

_TRIES_OF_ONE = 3
_GATEWAY_S = 60.0
_MOST_DOUBLINGS = 6
ONE_REFUSED = "though the account answers: this order alone is refused"
"""The end of the reason of an order whose POST was refused as if the key were bad."""
SENT_AGAIN = "this order is sent again"
"""The end of the reason of an order with which the vendor has trouble; its own words may differ each time."""
_OVER_WITHOUT_VIDEO = frozenset({TaskStatus.FAILED, TaskStatus.ENDED})


@dataclass(frozen=True)
class KeepPolling:
    """The task is still running: poll again at `due_at`."""

    due_at: datetime
    seen: Mapping[str, Any]


@dataclass(frozen=True)
class Collect:
    """The vendor finished: collect the video."""

    seen: Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """This attempt ends without a video; `retry_at` queues the next one."""

    state: State
    error_class: str
    reason: str
    seen: Mapping[str, Any]
    retry_at: datetime | None


@dataclass(frozen=True)
class QueueAgain:
    """The POST was refused and no task was made.

    Attributes:
        due_at: When this order may be sent again.
        pause: The kind of pause in all submitting; None where the refusal concerns this order alone.
        reason: The vendor's words.
        pause_until: The end of that pause, where it is not `due_at`.
    """

    due_at: datetime
    pause: str | None
    reason: str
    pause_until: datetime | None = None


@dataclass(frozen=True)
class NeedsReconciliation:
    """A task may have been made or not: reconcile before anything else."""

    reason: str
    error_class: str | None = None


def task_columns(task: Task) -> dict[str, Any]:
    """Return the columns that the ledger keeps of a task; its hold stays there after its end."""
    # Once it has charged, the vendor may report the charge as the hold: the earlier hold stays.
    held = {"points_held": task.points_held} if task.points_held and not task.points_charged else {}
    # Still held after its end: not settled yet. A video is never free, whatever the vendor reports.
    failed_unsettled = task.status in _OVER_WITHOUT_VIDEO and task.points_held
    unsettled = (task.status is TaskStatus.COMPLETED or failed_unsettled) and not task.points_charged
    return held | {
        "task_id": task.task_id,
        "points_charged": None if unsettled else task.points_charged,
        "vendor_created_at": task.created_at,
        "vendor_started_at": task.started_at,
        "vendor_ended_at": task.ended_at,
        "video_url": task.video_url,
        "vendor_logs": list(task.logs),
        "error_class": None,
        "error_message": None,  # the task was read, so an earlier error is over
    }


def after_poll(
    order: Order, task: Task, *, now: datetime, render_s: float | None, jitter: float, pacing: Pacing
) -> KeepPolling | Collect | End:
    """Return the next step of a submitted order, from its task as just read.

    A task whose points are not settled at its end is looked at once more, and then taken as it is.

    Args:
        order: The order, in state SUBMITTED.
        task: The vendor's task.
        now: UTC.
        render_s: Seconds that such tasks took lately; None when unknown.
        jitter: A number in [0, 1) that spreads polls.
        pacing: The engine's waits.
    """
    seen = task_columns(task)
    if _settles_later(order, task):
        return KeepPolling(now + timedelta(seconds=pacing.min_poll_s * (1 + jitter)), seen)
    # Read late, a finished task may be called "expired": its video is paid for, and its link may still work.
    paid_for = task.status is TaskStatus.ENDED and task.points_charged
    if task.video_url and (task.status is TaskStatus.COMPLETED or paid_for):
        return Collect(seen)
    if task.status in _OVER_WITHOUT_VIDEO:
        failure, reason = classify_failure(task)
        # Only if the points came back: the next attempt takes their place in the budgets.
        retry = failure is FailureClass.VENDOR and order.retries > 0 and seen["points_charged"] == 0
        return End(
            _end_state(failure),
            failure.value,
            reason,
            seen,
            now + timedelta(seconds=pacing.retry_s) if retry else None,
        )
    if task.status is TaskStatus.COMPLETED:
        delay = pacing.min_poll_s * (1 + jitter) * (1 + min(order.polls, 30))
        reason = f"completed without a link in any known place; its output has {task.output}"
        return KeepPolling(now + timedelta(seconds=delay), seen | _unfamiliar(reason))
    if task.status is TaskStatus.UNKNOWN:
        seen |= _unfamiliar(f"its status is {task.raw_status!r}, an unknown word")
    since = order.submitted_at or now
    delay = poll_delay((now - since).total_seconds(), render_s, jitter=jitter, pacing=pacing)
    return KeepPolling(now + timedelta(seconds=delay), seen)


def _settles_later(order: Order, task: Task) -> bool:
    """Return True for a task just seen as over that still holds its points: charge or refund may follow."""
    over = task.status is TaskStatus.COMPLETED or task.status in _OVER_WITHOUT_VIDEO
    first_seen = task.ended_at is not None and order.vendor_ended_at is None
    return over and first_seen and task.points_held > 0 and not task.points_charged


def _end_state(failure: str) -> State:
    """Return the state of an order that ended without a video, from its failure class."""
    content_refused = failure in (FailureClass.MODERATION, FailureClass.REAL_PERSON)
    return State.REJECTED if content_refused else State.FAILED


def _unfamiliar(reason: str) -> dict[str, str]:
    return {"error_class": UNFAMILIAR, "error_message": reason}


def poll_delay(age_s: float, render_s: float | None, *, jitter: float, pacing: Pacing) -> float:
    """Return the seconds until the next poll: rare while a task is young, frequent around its expected end.

    Args:
        age_s: Seconds since the task was submitted.
        render_s: Expected seconds from submission to end; None when nothing is known yet.
        jitter: A number in [0, 1) that spreads polls over up to a further quarter of the delay.
        pacing: The engine's waits.
    """
    if render_s is None or age_s > 2 * render_s:
        delay = age_s / 2
    elif age_s < 0.8 * render_s:
        delay = 0.9 * render_s - age_s
    else:
        delay = render_s / 10
    return min(max(delay, pacing.min_poll_s), pacing.max_poll_s) * (1 + jitter / 4)


def after_refused_post(
    error: SeedanceError, *, now: datetime, tries: int = 1, retry_s: float = 0
) -> QueueAgain | End | NeedsReconciliation:
    """Return the next step of a claimed order whose POST raised.

    Only errors that say "no task was made" lead back to the queue; anything else may have been paid for.

    Args:
        error: The POST's error.
        now: UTC.
        tries: The number of times that it was refused this way, this time included.
        retry_s: Seconds until the next try, where the vendor has trouble with this order alone.
    """
    reason = str(error)
    match error:
        case InvalidRequestError():
            return _after_invalid(error, retry_at=now + timedelta(seconds=retry_s), tries=tries)
        case InsufficientCreditsError():
            pause, seconds = CREDITS, 60.0  # longer while the account's balance is too low
        case PlanLimitError():
            pause, seconds = "plan limit", 5.0
        case RateLimitError():
            pause, seconds = "rate limit", error.retry_after_s or 10.0
        case AuthenticationError():
            pause, seconds = CREDENTIALS, 60.0
        case NotSentError():
            pause, seconds = "network", 15.0
        case GatewayError():
            return _after_gateway(reason, now=now, tries=tries)
        case AddressError():
            pause, seconds = ADDRESS, 60.0
        case ForeignReplyError():
            return NeedsReconciliation(reason, FOREIGN_REPLY)
        case _:
            return NeedsReconciliation(reason)
    return QueueAgain(now + timedelta(seconds=seconds), pause, reason)


def _after_invalid(error: InvalidRequestError, *, retry_at: datetime, tries: int) -> QueueAgain | End:
    if error.failure == FailureClass.VENDOR and tries < _TRIES_OF_ONE:
        return QueueAgain(retry_at, None, f"{error}; {SENT_AGAIN}")
    return End(_end_state(error.failure), error.failure, str(error), {}, None)


def _after_gateway(reason: str, *, now: datetime, tries: int) -> QueueAgain:
    """Return a step that lets other orders go first: the gateway may refuse this one alone."""
    pause = timedelta(seconds=_GATEWAY_S)
    return QueueAgain(now + pause * 2 ** min(tries - 1, _MOST_DOUBLINGS), "gateway", reason, now + pause)


def after_refused_key(
    error: AuthenticationError, *, now: datetime, tries: int, retry_s: float
) -> QueueAgain | End:
    """Return the next step of an order whose POST was refused as if by a bad key, though the account answers.

    Only that order is affected: submitting goes on, and after a few tries the order ends.

    Args:
        error: The refusal.
        now: UTC.
        tries: The number of times that it was refused this way, this time included.
        retry_s: Seconds until the next try.
    """
    reason = f"{error.reply}, {ONE_REFUSED}"
    if tries < _TRIES_OF_ONE:
        return QueueAgain(now + timedelta(seconds=retry_s), None, reason)
    return End(State.FAILED, FailureClass.INVALID.value, reason, {}, None)


def transfer_delay(failures: int, pacing: Pacing) -> float:
    """Return the seconds to wait after a failed transfer, by the number of failures before it."""
    return min(pacing.transfer_s * 2.0 ** min(failures, 12), pacing.max_transfer_s)
