"""The lifecycle as pure functions: what was heard about an order decides its next step.

    queued -> claimed -> submitted -> succeeded -> stored
                 |            |-> rejected  (content refused)
                 |            |-> failed    (anything else; vendor trouble queues another attempt)
                 |-> queued    (refused by the POST, no task made)
                 |-> failed    (the request itself was refused)
                 |-> uncertain (reply lost) -> submitted (adopted) | queued (no task exists)

Nothing here reads a clock, draws a number or knows a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.api.errors import (
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    NotSentError,
    PlanLimitError,
    RateLimitError,
    SeedanceError,
)
from seedance_dagster.api.failures import FailureClass, classify_failure
from seedance_dagster.api.wire import Task, TaskStatus
from seedance_dagster.engine.throttle import CREDENTIALS, CREDITS
from seedance_dagster.ledger.order import Order, State

_MIN_POLL_S, _MAX_POLL_S = 2.0, 120.0
_RETRY_DELAY = timedelta(seconds=30)
_MAX_TRANSFER_DELAY_S = 900.0


@dataclass(frozen=True)
class KeepPolling:
    """The task is still at work: look again at `due_at`."""

    due_at: datetime
    seen: Mapping[str, Any]


@dataclass(frozen=True)
class Collect:
    """The vendor finished: fetch the video."""

    seen: Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """No video will come of this attempt; `retry_at` queues the next one."""

    state: State
    error_class: str
    reason: str
    seen: Mapping[str, Any]
    retry_at: datetime | None


@dataclass(frozen=True)
class QueueAgain:
    """The POST was refused and no task was made; `pause` is the kind of pause for all submitting."""

    due_at: datetime
    pause: str
    reason: str


@dataclass(frozen=True)
class NeedsReconciliation:
    """Whether a task was made is unknown: reconcile before anything else."""

    reason: str


def task_columns(task: Task) -> dict[str, Any]:
    """What the ledger keeps of a task; a hold is kept when it is over, as what was held."""
    # Once charged, the vendor may tell the charge as the hold: what was held before stays.
    held = {"points_held": task.points_held} if task.points_held and not task.points_charged else {}
    over = task.status in (TaskStatus.COMPLETED, TaskStatus.FAILED)
    # Still held when it is over: the vendor has not settled it yet, and nothing is never assumed.
    unsettled = over and task.points_held and not task.points_charged
    return held | {
        "task_id": task.task_id,
        "points_charged": None if unsettled else task.points_charged,
        "vendor_created_at": task.created_at,
        "vendor_started_at": task.started_at,
        "vendor_ended_at": task.ended_at,
        "video_url": task.video_url,
        "vendor_logs": list(task.logs),
        "error_message": None,  # what was wrong before is over: the task was read
    }


def after_poll(
    order: Order, task: Task, *, now: datetime, render_s: float | None, jitter: float
) -> KeepPolling | Collect | End:
    """The next step of a submitted order, from its task as just read.

    Args:
        order: The order, in state SUBMITTED.
        task: The vendor's task.
        now: UTC.
        render_s: How long such tasks took lately, in seconds; None when unknown.
        jitter: A number in [0, 1) that spreads polls.
    """
    seen = task_columns(task)
    if task.status is TaskStatus.COMPLETED and task.video_url:
        return Collect(seen)
    if task.status is TaskStatus.FAILED:
        failure, reason = classify_failure(task)
        refused = failure in (FailureClass.MODERATION, FailureClass.REAL_PERSON)
        # Only where the points came back: the next attempt takes their place in the budgets.
        again = failure is FailureClass.VENDOR and order.retries > 0 and seen["points_charged"] == 0
        return End(
            State.REJECTED if refused else State.FAILED,
            failure.value,
            reason,
            seen,
            now + _RETRY_DELAY if again else None,
        )
    if task.status is TaskStatus.COMPLETED:
        return KeepPolling(
            now + timedelta(seconds=_MIN_POLL_S * (1 + jitter) * (1 + min(order.polls, 30))),
            seen | {"error_message": "completed without a video URL; asked again"},
        )
    since = order.submitted_at or now
    delay = poll_delay((now - since).total_seconds(), render_s, jitter)
    return KeepPolling(now + timedelta(seconds=delay), seen)


def poll_delay(age_s: float, render_s: float | None, jitter: float) -> float:
    """Seconds until the next poll: rare while a task is young, dense around its expected end, then rarer.

    Args:
        age_s: Seconds since the task was submitted.
        render_s: Expected seconds from submission to end; None when nothing is known yet.
        jitter: A number in [0, 1) that spreads polls over up to a further quarter of the delay.
    """
    if render_s is None or age_s > 2 * render_s:
        delay = age_s / 2
    elif age_s < 0.8 * render_s:
        delay = 0.9 * render_s - age_s
    else:
        delay = render_s / 10
    return min(max(delay, _MIN_POLL_S), _MAX_POLL_S) * (1 + jitter / 4)


def after_refused_post(error: SeedanceError, *, now: datetime) -> QueueAgain | End | NeedsReconciliation:
    """The next step of a claimed order whose POST raised.

    Only errors that say "no task was made" lead back to the queue; anything else may have been paid for.
    """
    reason = str(error)
    match error:
        case InvalidRequestError():
            return End(State.FAILED, FailureClass.INVALID.value, reason, {}, None)
        case InsufficientCreditsError():
            pause, seconds = CREDITS, 60.0  # longer while the account tells too low a balance
        case PlanLimitError():
            pause, seconds = "plan limit", 5.0
        case RateLimitError():
            pause, seconds = "rate limit", error.retry_after_s or 10.0
        case AuthenticationError():
            pause, seconds = CREDENTIALS, 60.0
        case NotSentError():
            pause, seconds = "network", 15.0
        case _:
            return NeedsReconciliation(reason)
    return QueueAgain(now + timedelta(seconds=seconds), pause, reason)


def transfer_delay(failures: int) -> float:
    """Seconds to wait after the n-th broken transfer of a video, doubling to a quarter of an hour."""
    return min(5.0 * 2.0 ** min(failures, 12), _MAX_TRANSFER_DELAY_S)
