"""The checks of a prompt set's videos: judgements on the ledger's orders and a listing of S3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from seedance_dagster.counting import part_of
from seedance_dagster.health import low_budgets, no_video_reason, price_drifts, stuck_reason
from seedance_dagster.ledger.order import Order
from seedance_dagster.money import points_to_usd, usd_text
from seedance_dagster.video_health import OBJECTS_INTACT

if TYPE_CHECKING:
    from seedance_dagster.ledger.budgets import BudgetUsage

_MAX_REJECTED_SHARE = 0.1
_ALL = "(all)"


@dataclass(frozen=True)
class Violation:
    """One partition for which a check does not hold, and the reason."""

    partition: str
    reason: str


@dataclass(frozen=True)
class CheckResult:
    """The result of one check of a prompt set.

    Attributes:
        violations: None when the check passed.
        summary: The result in one sentence.
        figures: Numbers that Dagster plots over time, by metadata name.
    """

    violations: tuple[Violation, ...]
    summary: str
    figures: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class CheckInput:
    """The data of one prompt set that its checks look at.

    Attributes:
        videos: How many videos its partitions show.
        problems: What is wrong with some of them, by partition and by the names of checks.
        is_listed: False where its objects in S3 could not be listed.
        newest: The newest stored orders.
        rejected: The rejected newest orders of prompts in the file, by partition.
        ordered: How many prompts of the file were ordered.
        open_orders: All orders that have not ended, including older ones of edited prompts.
        budgets: The budgets that its orders count towards.
        now: UTC.
        stale_after: The time after which a running task counts as stuck.
    """

    videos: int
    problems: Mapping[str, Mapping[str, str]]
    is_listed: bool
    newest: Sequence[Order]
    rejected: Mapping[str, Order]
    ordered: int
    open_orders: Sequence[Order]
    budgets: Sequence[BudgetUsage]
    now: datetime
    stale_after: timedelta


@dataclass(frozen=True)
class Check:
    """One check of a prompt set's videos, as Dagster shows it.

    Attributes:
        description: What holds when the check passes.
        judge: Returns the result for some data.
        warns: True if a violation is a warning and not an error.
    """

    description: str
    judge: Callable[[CheckInput], CheckResult]
    warns: bool = False


def _of_videos(check: str, passed: str) -> Callable[[CheckInput], CheckResult]:
    """Return the judgement of a check that looks at each video on its own."""

    def judge(data: CheckInput) -> CheckResult:
        reasons = {key: of[check] for key, of in data.problems.items() if check in of}
        violations = tuple(Violation(partition, reason) for partition, reason in reasons.items())
        summary = _share_passed(data.videos, len(violations), passed) or "there is no video yet"
        return CheckResult(violations, summary, {})

    return judge


def _objects_intact(data: CheckInput) -> CheckResult:
    if not data.is_listed:
        return CheckResult((Violation(_ALL, "S3 could not be listed"),), "S3 could not be listed", {})
    return _of_videos(OBJECTS_INTACT, "videos are in S3 with poster and manifest")(data)


def _estimate_accuracy(data: CheckInput) -> CheckResult:
    drifts = price_drifts(data.newest)
    outdated = [drift for drift in drifts if drift.outdated]
    estimated = sum(order.estimated_points for drift in drifts for order in drift.newest)
    share = sum(drift.difference_points for drift in drifts) / estimated if estimated else 0.0
    violations = tuple(
        Violation(
            order.partition,
            f"estimated {usd_text(order.estimated_points)} by {order.price_table}, "
            f"charged {usd_text(order.points_charged or 0)}",
        )
        for drift in outdated
        for order in drift.deviating
    )
    compared = f"charges differ from the estimates by {share:+.1%}" if drifts else "no charge to compare yet"
    summary = "; ".join([compared, *(f"{drift.price}: {drift}" for drift in outdated)])
    return CheckResult(violations, summary, {"seedance/estimate_drift": round(share, 4)})


def _rejection_rate(data: CheckInput) -> CheckResult:
    share = len(data.rejected) / data.ordered if data.ordered else 0.0
    rejected = part_of(len(data.rejected), data.ordered, "prompt", "was", "were")
    return CheckResult(
        tuple(Violation(key, str(no_video_reason(order))) for key, order in data.rejected.items())
        if share > _MAX_REJECTED_SHARE
        else (),
        f"{rejected} rejected by moderation" if data.ordered else "no prompt was ordered yet",
        {"seedance/rejection_rate": round(share, 4)},
    )


def _no_stuck_orders(data: CheckInput) -> CheckResult:
    def problem(order: Order) -> str | None:
        return stuck_reason(order, now=data.now, stale_after=data.stale_after)

    reasons = [(order.partition, problem(order)) for order in data.open_orders]
    violations = tuple(Violation(partition, reason) for partition, reason in reasons if reason is not None)
    summary = _share_passed(len(reasons), len(violations), "open orders proceed") or "no order is open"
    return CheckResult(violations, summary, {})


def _budget_remaining(data: CheckInput) -> CheckResult:
    violations = tuple(Violation(_ALL, str(usage)) for usage in low_budgets(data.budgets))
    remaining = min((usage.remaining for usage in data.budgets), default=None)
    figures = {} if remaining is None else {"seedance/budget_remaining_usd": float(points_to_usd(remaining))}
    return CheckResult(violations, "; ".join(map(str, data.budgets)) or "there is no budget", figures)


def _share_passed(all_: int, violations: int, passed: str) -> str:
    return f"{all_ - violations} of {all_} {passed}" if all_ else ""


CHECKS: Mapping[str, Check] = {
    "playable": Check(
        "Every stored file is a video with a size in pixels and a duration.",
        _of_videos("playable", "videos are playable"),
    ),
    "matches_request": Check(
        "Every video has the duration and the aspect ratio that were requested.",
        _of_videos("matches_request", "videos have the requested duration and aspect ratio"),
    ),
    "objects_intact": Check(
        "Every video is in S3 with poster and manifest, in the sizes that the ledger recorded.",
        _objects_intact,
    ),
    "has_poster": Check(
        "Every video has a poster. A video whose poster could not be cut is stored without one, and the cut "
        "is tried again before this check.",
        _of_videos("has_poster", "videos have a poster"),
        warns=True,
    ),
    "charge_matches_hold": Check(
        "The vendor reported a charge for every video, and charged what it had held.",
        _of_videos("charge_matches_hold", "videos cost what the vendor held for them"),
        warns=True,
    ),
    "estimate_accuracy": Check(
        "The newest charges agree with the estimates. If they do not, the price table may be out of date.",
        _estimate_accuracy,
        warns=True,
    ),
    "rejection_rate": Check(
        "Moderation rejected at most a tenth of the prompts in the file. The vendor charges for rejected "
        "prompts.",
        _rejection_rate,
        warns=True,
    ),
    "no_stuck_orders": Check(
        "Every open order proceeds: none is uncertain, no task has been running for too long, and every "
        "video that was paid for can be stored.",
        _no_stuck_orders,
    ),
    "budget_remaining": Check("At least a tenth of each budget remains.", _budget_remaining, warns=True),
}
"""Every check by its name in Dagster."""
