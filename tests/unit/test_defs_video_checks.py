"""The checks of a prompt set's videos."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from factories import make_order
from harness import no_client
from stores import MemoryStore

from seedance_dagster.defs.steps.checks import check_results
from seedance_dagster.defs.video_checks import CHECKS, CheckInput, CheckResult
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.budgets import Budget, BudgetUsage
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.money import Window
from seedance_dagster.video_health import video_problems

NOW = datetime(2026, 4, 6, 12, tzinfo=UTC)
GOOD = {
    "state": State.STORED,
    "codec": "h264",
    "duration_s": 5.04,
    "width": 864,
    "height": 496,
    "video_key": "p/v.mp4",
    "poster_key": "p/p.jpg",
    "manifest_key": "p/m.json",
    "size_bytes": 10,
    "poster_size_bytes": 3,
    "points_held": 4_000_000,
    "points_charged": 4_000_000,
}
UNREADABLE = {
    "duration_s": None,
    "video_problem": "no decoder",
    "poster_key": None,
    "poster_size_bytes": None,
    "poster_problem": "no frame",
}
SIZES = {"p/v.mp4": 10, "p/p.jpg": 3, "p/m.json": 5}


def order(partition: str = "cat", *, order_id: int = 1, **fields: object) -> Order:
    """Return an order that passes every check, but for the given fields."""
    request = {"duration": 5, "aspect_ratio": "16:9"} | dict(fields.pop("request", {}))
    return make_order(order_id, partition=partition, request=request, **GOOD | fields)


def judge(check: str, *orders: Order, **data: object) -> CheckResult:
    """Return the result of one check of these orders."""
    stored = [order for order in orders if order.state is State.STORED]
    current = {order.partition if len(stored) == 1 else f"p{order.order_id}": order for order in stored}
    problems = {key: video_problems(order, SIZES) for key, order in current.items()}
    fields = {
        "videos": len(current),
        "problems": {key: problem for key, problem in problems.items() if problem},
        "is_listed": True,
        "newest": stored,
        "rejected": {order.partition: order for order in orders if order.state is State.REJECTED},
        "ordered": len({order.partition for order in orders}),
        "open_orders": [order for order in orders if order.state in OPEN],
        "budgets": [],
        "now": NOW,
        "stale_after": timedelta(hours=12),
    }
    return CHECKS[check].judge(CheckInput(**fields | data))


@pytest.mark.parametrize("check", ["matches_request", "objects_intact"])
def test_what_one_check_says_no_other_repeats(check):
    """A stored file that cannot be read has no length to compare, and no poster to miss (l4)."""
    assert judge(check, order(**UNREADABLE)).violations == ()


@pytest.mark.parametrize("check", CHECKS)
def test_a_good_set_passes_every_check(check):
    """A set with one good video, or with none, has no violations."""
    assert judge(check, order()).violations == ()
    assert judge(check).violations == ()


@pytest.mark.parametrize(
    ("check", "fields", "reason"),
    [
        ("playable", {"width": None}, "the stored file is not a playable video"),
        ("playable", UNREADABLE, "the stored file is whole, but cannot be read as a video: no decoder"),
        ("has_poster", UNREADABLE, "is stored without a poster: no frame"),
        ("matches_request", {"duration_s": 4.0}, "is 4.0 s long; 5 s were requested"),
        ("matches_request", {"width": 496, "height": 864}, "has 496 x 864 pixels; 16:9 was requested"),
        ("objects_intact", {"video_key": "p/other.mp4"}, "missing in S3: video"),
        ("objects_intact", {"poster_key": "x", "manifest_key": "y"}, "missing in S3: poster, manifest"),
        ("objects_intact", {"size_bytes": 11}, "the video has 10 bytes in S3 and 11 in the ledger"),
        ("charge_matches_hold", {"points_charged": None}, "the vendor did not report its charge"),
        ("charge_matches_hold", {"points_charged": 5_000_000}, "0.40 USD were held and 0.50 USD charged"),
        (
            "estimate_accuracy",
            {"points_charged": 3_000_000},
            "estimated 0.40 USD by goapi-2026-04, charged 0.30 USD",
        ),
        (
            "rejection_rate",
            {"state": State.REJECTED, "error_message": "violence"},
            "rejected by moderation: violence; edit the prompt, or set resubmit_rejected in a run's config",
        ),
        (
            "no_stuck_orders",
            {"state": State.UNCERTAIN, "error_message": "reply lost"},
            (
                "it is unknown whether the vendor received order 1 (reply lost); it is not sent again until "
                "`seedance-dagster reconcile` has resolved it, or "
                "`seedance-dagster reconcile 1 --end` gives it up"
            ),
        ),
        (
            "no_stuck_orders",
            {"state": State.SUBMITTED, "task_id": "t", "submitted_at": NOW - timedelta(hours=13)},
            "task t has been running since 2026-04-05 23:00 UTC",
        ),
        (
            "no_stuck_orders",
            {"state": State.SUCCEEDED, "transfer_failures": 5, "error_message": "the link is gone"},
            (
                "paid for, and its video could not be stored in 5 attempts; it is fetched again until "
                "`seedance-dagster reconcile 1 --end` gives it up: the link is gone"
            ),
        ),
        ("objects_intact", {"poster_size_bytes": 4}, "the poster has 3 bytes in S3 and 4 in the ledger"),
    ],
)
def test_a_violation_has_its_reason(check, fields, reason):
    """Each check names the partition and says why it does not hold."""
    [violation] = judge(check, order(**fields)).violations
    assert (violation.partition, violation.reason) == ("cat", reason)


def test_an_older_order_of_an_edited_prompt_is_checked_too():
    """A newer order of the same partition does not hide an uncertain one."""
    lost = order(state=State.UNCERTAIN, error_message="reply lost")
    [violation] = judge("no_stuck_orders", lost, order(order_id=2)).violations
    assert violation.reason.startswith("it is unknown whether the vendor received order 1 (reply lost)")


def test_any_ratio_matches_where_none_was_requested():
    """The first image decides the shape of a video that is made from frames."""
    assert (
        judge("matches_request", order(width=100, height=900, request={"aspect_ratio": None})).violations
        == ()
    )


def test_only_the_newest_charges_count_for_the_price_table():
    """Charges from long ago do not hide that prices have changed."""
    old = [order(order_id=number) for number in range(1000)]
    new = [order(order_id=1000 + number, points_charged=8_000_000) for number in range(20)]
    assert len(judge("estimate_accuracy", *old, *new).violations) == 20


def test_an_upper_bound_does_not_count_as_drift():
    """Estimates with input videos of unknown length say nothing about the price table."""
    unknown = order(points_charged=9_000_000, request={"video_urls": ["https://e.x/a.mp4"]})
    assert judge("estimate_accuracy", unknown).violations == ()
    facts = [{"kind": "video", "position": 1, "duration_s": 3.0}]
    known = order(
        points_charged=9_000_000, request={"video_urls": ["https://e.x/a.mp4"]}, reference_facts=facts
    )
    result = judge("estimate_accuracy", known)
    assert len(result.violations) == 1
    assert result.figures == {"seedance/estimate_drift": 1.25}


def test_a_few_rejections_are_not_a_violation():
    """A share of a tenth or less is only a figure."""
    orders = [order(f"p{n}") for n in range(19)] + [order("bad", state=State.REJECTED)]
    result = judge("rejection_rate", *orders)
    assert result.violations == ()
    assert result.figures == {"seedance/rejection_rate": 0.05}


def test_storage_that_cannot_be_listed_is_one_violation():
    """The check does not take an unreachable bucket for an empty one."""
    [violation] = judge("objects_intact", order("a"), order("b"), is_listed=False).violations
    assert (violation.partition, violation.reason) == ("(all)", "S3 could not be listed")


def test_a_budget_that_is_nearly_used_is_named():
    """Less than a tenth remaining is a violation, with the figures of the budget."""
    budget = Budget(window=Window.DAY, points=10_000_000)
    assert judge("budget_remaining", budgets=[BudgetUsage(budget, 5_000_000, 0)]).violations == ()
    result = judge("budget_remaining", budgets=[BudgetUsage(budget, 5_000_000, 4_500_000)])
    [violation] = result.violations
    assert violation.reason == ("budget of 1.00 USD a day: 0.50 USD reserved, 0.45 USD spent, 0.05 USD left")
    assert result.figures == {"seedance/budget_remaining_usd": 0.05}


def test_prompts_that_left_their_file_are_no_part_of_the_rates(ledger, orders):
    """A rejected prompt that was removed counts neither as rejected nor as a prompt."""
    orders.make(State.REJECTED, "cat")
    orders.make(State.STORED, "dog")
    services = Services(ledger=ledger, open_client=no_client, store=MemoryStore(), clock=lambda: NOW)

    def rate() -> str:
        [result] = check_results(services, "spots", {"rejection_rate": CHECKS["rejection_rate"]}, [])
        return str(result.description)

    assert rate() == "1 of 2 prompts was rejected by moderation"
    ledger.partitions.update("spots", {key: PartitionRequest(f"f-{key}") for key in ("cat", "dog")})
    ledger.partitions.update("spots", {"dog": PartitionRequest("f-dog")})
    assert rate() == "0 of 1 prompt was rejected by moderation"


def test_a_check_without_anything_to_look_at_says_so():
    """Before the first order, no check counts "0 of 0"."""
    assert {name: judge(name).summary for name in CHECKS} == {
        "playable": "there is no video yet",
        "matches_request": "there is no video yet",
        "objects_intact": "there is no video yet",
        "has_poster": "there is no video yet",
        "charge_matches_hold": "there is no video yet",
        "estimate_accuracy": "no charge to compare yet",
        "rejection_rate": "no prompt was ordered yet",
        "no_stuck_orders": "no order is open",
        "budget_remaining": "there is no budget",
    }
    assert all(judge(name).violations == () for name in CHECKS)
