"""The throttle: how many tasks may be in flight now, and why not more, for engine, sensor and people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from seedance_dagster.api.limits import Limits
from seedance_dagster.counting import counted
from seedance_dagster.engine.policy import Policy
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.work.workload import Rejections
from seedance_dagster.money import usd_text

PLAN_LIMIT = "plan_limit"
"""Observation in the ledger: tasks that the account's plan allows at once."""

CREDITS, CREDENTIALS, ADDRESS = "credits", "credentials", "address"
"""Kinds of pause that end only when a person acts."""

_NEEDS_A_PERSON = (CREDITS, CREDENTIALS, ADDRESS)
_BUY_CREDITS = "buy credits; submitting then goes on automatically"
_LIMIT_LASTS = timedelta(days=1)  # an older limit may have been raised


@dataclass(frozen=True)
class Throttle:
    """The room for submitting.

    Attributes:
        slots: Tasks in flight at once; 0 when nothing may be sent, None for no known limit.
        reasons: Why fewer than the plan allows, or nothing, may be sent; for people.
        problems: Those of the reasons that go away only when a person acts.
        rejections: The rejections of the day that it is based on.
    """

    slots: int | None
    reasons: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    rejections: Rejections | None = field(default=None, compare=False)


def read_throttle(ledger: Ledger, policy: Policy, limits: Limits, *, now: datetime) -> Throttle:
    """Return the throttle at a time (UTC); raise `LedgerError`."""
    paused = ledger.pauses.active()
    closed = [f"submitting pauses: {message}" for message in paused.values()]
    problems = [message for kind, message in paused.items() if kind in _NEEDS_A_PERSON]
    if policy.off_peak_only:
        peak_end = peak_ends(now, limits.peak_start_hour_utc, limits.peak_end_hour_utc)
        if peak_end is not None:
            closed.append(f"off-peak only: queued orders wait until {peak_end:%H:%M} UTC")
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    rejections = ledger.workload.rejections_since(midnight)
    throttle = rejection_throttle(
        rejections.count, tiers=limits.rejection_tiers, stop_at=policy.max_rejections_per_day
    )
    if closed or throttle.slots == 0:
        return Throttle(0, (*closed, *throttle.reasons), (*problems, *throttle.problems), rejections)
    plan = ledger.observations.recall(PLAN_LIMIT).get(PLAN_LIMIT)
    allowed = plan.value if plan is not None and now - plan.at < _LIMIT_LASTS else None
    known = (policy.max_in_flight, allowed, throttle.slots)
    slots = min((limit for limit in known if limit is not None), default=None)
    return Throttle(slots, throttle.reasons, rejections=rejections)


def pause_message(kind: str, reason: str) -> str:
    """Return the message of a pause after a refused POST, from the vendor's words."""
    return f"out of credits: {reason}; {_BUY_CREDITS}" if kind == CREDITS else f"{kind}: {reason}"


def low_balance_message(points: int, needed: int) -> str:
    """Return the message while the balance is below the cheapest queued order; both in points."""
    return (
        f"out of credits: {usd_text(points)} are left, the cheapest queued order is estimated at "
        f"{usd_text(needed)}; {_BUY_CREDITS}"
    )


def peak_ends(now: datetime, start_hour: int, end_hour: int) -> datetime | None:
    """Return the end of the peak hours that a time (UTC) is in; None outside of them."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    end = midnight + timedelta(hours=end_hour)
    return end if midnight + timedelta(hours=start_hour) <= now < end else None


def rejection_throttle(rejected: int, *, tiers: Sequence[int], stop_at: int) -> Throttle:
    """Return fewer slots as rejections approach the vendor's next penalty step, none at the team's own limit.

    Beyond half the way to a step, no more tasks are in flight than rejections are left before it, so that
    they cannot cross it.

    Args:
        rejected: Prompts rejected this UTC day.
        tiers: Numbers of rejections from which the vendor charges more for each.
        stop_at: Rejections after which nothing is sent until the day ends.
    """
    were_rejected = f"{counted(rejected, 'prompt was', 'prompts were')} rejected today"
    if rejected >= stop_at:
        reason = (
            f"{were_rejected}, the limit is {stop_at}: nothing is sent until 00:00 UTC, "
            "since the vendor's penalty grows with rejections. See the rejected prompts with "
            "`seedance-dagster status`; raise SEEDANCE_MAX_REJECTIONS_PER_DAY to go on"
        )
        return Throttle(0, (reason,), (reason,))
    step = min(tier for tier in (*tiers, stop_at) if tier > rejected)
    if 2 * rejected < step:
        return Throttle(None)
    left = step - rejected
    cause = "the limit is" if step == stop_at else "the vendor charges more for each from"
    reason = f"{were_rejected}: at most {counted(left, 'task')} at once, since {cause} {step}"
    return Throttle(left, (reason,))
