"""What the checks of a prompt set look at: pure judgements over the ledger's orders and a listing of S3."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from seedance_dagster.ledger.order import MANY_TRANSFER_FAILURES, Order, State
from seedance_dagster.money import points_to_usd

if TYPE_CHECKING:
    from seedance_dagster.ledger.budgets import BudgetUsage

_DURATION_TOLERANCE_S = 0.5
_RATIO_TOLERANCE = 0.03
_MOST_REFUSED = 0.1
_LEAST_BUDGET_LEFT = 0.1
PRICE_TOLERANCE = 0.02
"""By how much charges may differ from exact estimates, as a share."""
NEWEST_CHARGES = 50  # prices change: what was charged long ago says nothing about today's table


@dataclass(frozen=True)
class Violation:
    """One partition that a check found wanting."""

    partition: str
    what: str


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        violations: Partitions that do not hold; none when the check passed.
        summary: The finding in one sentence.
        figures: Numbers that Dagster plots over time, by metadata name.
    """

    violations: tuple[Violation, ...]
    summary: str
    figures: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class CheckInput:
    """What there is to judge of one prompt set.

    Attributes:
        current: The stored order that each partition shows.
        latest: The newest order of each partition.
        open_orders: All that are not over, an edited prompt's older ones too.
        sizes: Bytes of the set's objects in S3, by key; None when S3 could not be listed.
        budgets: The budgets that its orders count in.
        now: UTC.
        stale_after: How long a task may be at work.
    """

    current: Sequence[Order]
    latest: Mapping[str, Order]
    open_orders: Sequence[Order]
    sizes: Mapping[str, int] | None
    budgets: Sequence[BudgetUsage]
    now: datetime
    stale_after: timedelta


def playable(found: CheckInput) -> CheckResult:
    """Every video had a video stream, a size in pixels and a length when it was probed."""
    return _judged(
        found.current,
        lambda order: (
            None
            if order.codec and order.duration_s and order.width and order.height
            else "its probe found no playable video"
        ),
        "videos are playable",
    )


def matches_request(found: CheckInput) -> CheckResult:
    """Length and aspect ratio are what the request asked for; the first image decides it for frames."""

    def wrong(order: Order) -> str | None:
        asked_s = int(order.request["duration"])
        if order.duration_s is None or abs(order.duration_s - asked_s) > _DURATION_TOLERANCE_S:
            return f"lasts {order.duration_s} s, {asked_s} s were asked for"
        ratio = order.request.get("aspect_ratio")
        if not ratio or not order.width or not order.height:
            return None
        across, _, down = str(ratio).partition(":")
        if abs(order.width / order.height / (int(across) / int(down)) - 1) > _RATIO_TOLERANCE:
            return f"is {order.width} x {order.height}, {ratio} was asked for"
        return None

    return _judged(found.current, wrong, "videos are as long and as wide as asked")


def objects_intact(found: CheckInput) -> CheckResult:
    """Video, poster and manifest are in S3, video and poster with as many bytes as the ledger says."""
    sizes = found.sizes
    if sizes is None:
        return CheckResult((Violation("(all)", "S3 could not be listed"),), "S3 could not be listed", {})

    def wrong(order: Order) -> str | None:
        keys = {"video": order.video_key, "poster": order.poster_key, "manifest": order.manifest_key}
        missing = [name for name, key in keys.items() if key not in sizes]
        if missing:
            return f"its {' and '.join(missing)} is not in S3"
        for name, expected in (("video", order.size_bytes), ("poster", order.poster_size_bytes)):
            size = sizes[str(keys[name])]
            if expected is not None and size != expected:
                return f"its {name} has {size} bytes in S3, not {expected}"
        return None

    return _judged(found.current, wrong, "videos are in S3 with poster and manifest")


def charge_matches_hold(found: CheckInput) -> CheckResult:
    """The vendor charged what it had held, and told the charge."""

    def wrong(order: Order) -> str | None:
        if order.points_charged is None:
            return "its charge was not told"
        if order.points_held and order.points_charged != order.points_held:
            held, charged = points_to_usd(order.points_held), points_to_usd(order.points_charged)
            return f"{held} USD were held and {charged} USD charged"
        return None

    return _judged(found.current, wrong, "videos cost what was held for them")


def estimate_accuracy(found: CheckInput) -> CheckResult:
    """The newest charges of what was estimated exactly agree with the price table."""
    known = [
        order for order in found.current if order.points_charged is not None and estimated_exactly(order)
    ]
    exact = sorted(known, key=lambda order: order.order_id)[-NEWEST_CHARGES:]
    charged = sum(order.points_charged or 0 for order in exact)
    estimated = sum(order.estimated_points for order in exact)
    drift = charged / estimated - 1 if estimated else 0.0
    figures = {"seedance/estimate_drift": round(drift, 4)}
    if abs(drift) <= PRICE_TOLERANCE:
        return CheckResult((), f"charges differ from the estimates by {drift:+.1%}", figures)
    violations = tuple(
        Violation(
            order.partition,
            f"estimated {points_to_usd(order.estimated_points)} USD by {order.price_table}, "
            f"charged {points_to_usd(order.points_charged or 0)} USD",
        )
        for order in exact
        if order.points_charged != order.estimated_points
    )
    return CheckResult(
        violations, f"charges differ from the estimates by {drift:+.1%}: is the price table old?", figures
    )


def rejection_rate(found: CheckInput) -> CheckResult:
    """Not more than a tenth of the partitions' newest orders was refused for content."""
    refused = [order for order in found.latest.values() if order.state is State.REJECTED]
    share = len(refused) / len(found.latest) if found.latest else 0.0
    violations = (
        tuple(Violation(order.partition, order.error_message or "no reason given") for order in refused)
        if share > _MOST_REFUSED
        else ()
    )
    return CheckResult(
        violations,
        f"{len(refused)} of {len(found.latest)} prompts were refused",
        {"seedance/rejection_rate": round(share, 4)},
    )


def no_stuck_orders(found: CheckInput) -> CheckResult:
    """No order is uncertain, no task is at work far beyond its time, and no paid video is not to be had."""
    before = found.now - found.stale_after

    def wrong(order: Order) -> str | None:
        if order.state is State.UNCERTAIN:
            return f"whether it was ordered is unknown (order {order.order_id}): {order.error_message}"
        if order.state is State.SUBMITTED and order.submitted_at and order.submitted_at < before:
            return f"task {order.task_id} is at work since {order.submitted_at:%Y-%m-%d %H:%M} UTC"
        if order.state is State.SUCCEEDED and order.transfer_failures >= MANY_TRANSFER_FAILURES:
            return f"paid, and its video could not be stored: {order.error_message}"
        return None

    return _judged(found.open_orders, wrong, "open orders move")


def budget_remaining(found: CheckInput) -> CheckResult:
    """At least a tenth of each budget is left."""
    low = [
        standing
        for standing in found.budgets
        if standing.remaining < _LEAST_BUDGET_LEFT * standing.budget.points
    ]
    violations = tuple(Violation("(all)", str(standing)) for standing in low)
    left = min((standing.remaining for standing in found.budgets), default=None)
    figures = {} if left is None else {"seedance/budget_remaining_usd": float(points_to_usd(left))}
    return CheckResult(violations, "; ".join(map(str, found.budgets)) or "no budget is set", figures)


CHECKS: Mapping[str, Callable[[CheckInput], CheckResult]] = {
    "playable": playable,
    "matches_request": matches_request,
    "objects_intact": objects_intact,
    "charge_matches_hold": charge_matches_hold,
    "estimate_accuracy": estimate_accuracy,
    "rejection_rate": rejection_rate,
    "no_stuck_orders": no_stuck_orders,
    "budget_remaining": budget_remaining,
}
"""Every check by its name in Dagster."""


def _judged(orders: Iterable[Order], wrong: Callable[[Order], str | None], what: str) -> CheckResult:
    found = [(order.partition, wrong(order)) for order in orders]
    violations = tuple(Violation(partition, reason) for partition, reason in found if reason is not None)
    return CheckResult(violations, f"{len(found) - len(violations)} of {len(found)} {what}", {})


def estimated_exactly(order: Order) -> bool:
    """False where the length of input videos was not known and the vendor's maximum was estimated."""
    lengths = [fact.get("duration_s") for fact in order.reference_facts or () if fact.get("kind") == "video"]
    return not order.request.get("video_urls") or (
        len(lengths) == len(order.request["video_urls"]) and None not in lengths
    )
