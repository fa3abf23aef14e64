"""Whether orders may be sent now, how many at once, and why not: one answer for engine, sensor and people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from seedance_dagster.api.limits import Limits
from seedance_dagster.engine.policy import Policy
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.workload import Rejections
from seedance_dagster.money import points_to_usd

PLAN_LIMIT = "plan_limit"
"""The fact in the ledger: tasks that the account's plan allows at once."""

CREDITS, CREDENTIALS = "credits", "credentials"
"""Kinds of pause that end only when somebody acts."""

_NEEDS_SOMEBODY = (CREDITS, CREDENTIALS)
_GOES_ON = "buy credits, it goes on by itself when they are there"
_LIMIT_LASTS = timedelta(days=1)  # then a limit that nobody tells any more is tried again


@dataclass(frozen=True)
class Throttle:
    """What is open for submitting.

    Attributes:
        places: Tasks at the vendor at once; 0 when nothing may be sent, None for no known limit.
        reasons: Why fewer than the plan allows, or nothing, may be sent; for people.
        problems: Those of the reasons that go away only when somebody acts.
        refusals: The refusals of the day that the answer rests on.
    """

    slots: int | None
    reasons: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    refusals: Rejections | None = field(default=None, compare=False)


def read_throttle(ledger: Ledger, policy: Policy, limits: Limits, *, now: datetime) -> Throttle:
    """How the gate stands at a time (UTC); raises `LedgerError`."""
    paused = ledger.pauses.active()
    closed = [f"submitting pauses: {message}" for message in paused.values()]
    problems = [message for kind, message in paused.items() if kind in _NEEDS_SOMEBODY]
    if policy.off_peak_only:
        over = peak_ends(now, limits.peak_start_hour_utc, limits.peak_end_hour_utc)
        if over is not None:
            closed.append(f"off-peak only: queued orders wait until {over:%H:%M} UTC")
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    refusals = ledger.workload.rejections_since(midnight)
    brake = rejection_throttle(
        refusals.count, tiers=limits.rejection_tiers, stop_at=policy.max_rejections_per_day
    )
    if closed or brake.slots == 0:
        return Throttle(0, (*closed, *brake.reasons), (*problems, *brake.problems), refusals)
    plan = ledger.observations.recall(PLAN_LIMIT).get(PLAN_LIMIT)
    allowed = plan.value if plan is not None and now - plan.at < _LIMIT_LASTS else None
    known = (policy.max_in_flight, allowed, brake.slots)
    slots = min((each for each in known if each is not None), default=None)
    return Throttle(slots, brake.reasons, refusals=refusals)


def pause_message(kind: str, reason: str) -> str:
    """What a refused POST's pause says to people.

    Args:
        kind: The kind of pause.
        reason: The vendor's words.
    """
    return f"out of credits: {reason}; {_GOES_ON}" if kind == CREDITS else f"{kind}: {reason}"


def low_balance_message(points: int, needed: int) -> str:
    """What the pause says while the balance is below the cheapest queued order; both in points."""
    return (
        f"out of credits: {points_to_usd(points)} USD are left, the cheapest queued order is estimated at "
        f"{points_to_usd(needed)} USD; {_GOES_ON}"
    )


def peak_ends(now: datetime, start_hour: int, end_hour: int) -> datetime | None:
    """When the peak that `now` (UTC) lies in is over; None outside of it."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    end = midnight + timedelta(hours=end_hour)
    return end if midnight + timedelta(hours=start_hour) <= now < end else None


def rejection_throttle(refused: int, *, tiers: Sequence[int], stop_at: int) -> Throttle:
    """Fewer tasks at once as refusals near the vendor's next penalty step, none at the team's own limit.

    In the last half of the way to a step no more tasks are let to the vendor than refusals are left to it,
    so that what is on its way does not cross it.

    Args:
        refused: Prompts refused this UTC day.
        tiers: Numbers of refusals from which on the vendor charges more for each.
        stop_at: Rejections after which nothing is sent until the day ends.
    """
    if refused >= stop_at:
        reason = (
            f"{refused} prompts were refused today, the limit is {stop_at}: nothing is sent until 00:00 UTC, "
            "since the vendor's penalty grows with refusals. See what was refused with `seedance-dagster "
            "status`; raise SEEDANCE_MAX_REJECTIONS_PER_DAY to go on"
        )
        return Throttle(0, (reason,), (reason,))
    step = min(each for each in (*tiers, stop_at) if each > refused)
    if 2 * refused < step:
        return Throttle(None)
    left = step - refused
    what = "the limit is" if step == stop_at else "the vendor charges more for each from"
    reason = f"{refused} prompts were refused today: at most {left} tasks at once, since {what} {step}"
    return Throttle(left, (reason,))
