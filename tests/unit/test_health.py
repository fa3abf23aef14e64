"""The judgements behind the checks of a prompt set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from seedance_dagster.health import CHECKS, CheckInput, CheckResult
from seedance_dagster.ledger.budgets import Budget, BudgetUsage
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.money import Window

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
    "points_held": 4_000_000,
    "points_charged": 4_000_000,
}
SIZES = {"p/v.mp4": 10, "p/p.jpg": 3, "p/m.json": 5}


def order(partition: str = "cat", **fields: object) -> Order:
    request = {"task_type": "seedance-2-fast", "prompt": "a", "duration": 5, "aspect_ratio": "16:9"}
    return Order(
        **{
            "order_id": 1,
            "prompt_set": "spots",
            "partition": partition,
            "fingerprint": "f",
            "attempt": 1,
            "request": request | dict(fields.pop("request", {})),
            "estimated_points": 4_000_000,
            "price_table": "goapi-2026-04",
            "price_formula": "x",
            "tags": {},
            "retries": 0,
            "idempotency_key": "c",
            "run_id": "r",
            "ordered_at": NOW,
            "booked_at": NOW,
        }
        | GOOD
        | fields
    )


def judged(check: str, *orders: Order, **situation: object) -> CheckResult:
    shown = [each for each in orders if each.state is State.STORED]
    defaults = {"sizes": SIZES, "budgets": [], "now": NOW, "stale_after": timedelta(hours=12)}
    latest = {each.partition: each for each in orders}
    still_open = [each for each in orders if each.state in OPEN]
    found = {"current": shown, "latest": latest, "open_orders": still_open, **defaults, **situation}
    return CHECKS[check](CheckInput(**found))


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_set_passes_every_check(check):
    """One good video, and nothing else, is found good; so is an empty set."""
    assert judged(check, order()).violations == ()
    assert judged(check).violations == ()


@pytest.mark.parametrize(
    ("check", "fields", "what"),
    [
        ("playable", {"width": None}, "its probe found not a playable video"),
        ("matches_request", {"duration_s": 4.0}, "lasts 4.0 s, 5 s were asked for"),
        ("matches_request", {"width": 496, "height": 864}, "is 496 x 864, 16:9 was asked for"),
        ("objects_intact", {"video_key": "p/other.mp4"}, "its video is not in S3"),
        ("objects_intact", {"poster_key": "x", "manifest_key": "y"}, "its poster and manifest is not in S3"),
        ("objects_intact", {"size_bytes": 11}, "its video has 10 bytes in S3, not 11"),
        ("charge_matches_hold", {"points_charged": None}, "its charge was not told"),
        ("charge_matches_hold", {"points_charged": 5_000_000}, "0.4 USD were held and 0.5 USD charged"),
        (
            "estimate_accuracy",
            {"points_charged": 3_000_000},
            "estimated 0.4 USD by goapi-2026-04, charged 0.3 USD",
        ),
        ("rejection_rate", {"state": State.REJECTED, "error_message": "violence"}, "violence"),
        (
            "no_stuck_orders",
            {"state": State.UNCERTAIN, "error_message": "reply lost"},
            "whether it was ordered is unknown (order 1): reply lost",
        ),
        (
            "no_stuck_orders",
            {"state": State.SUBMITTED, "task_id": "t", "submitted_at": NOW - timedelta(hours=13)},
            "task t is at work since 2026-04-05 23:00 UTC",
        ),
        (
            "no_stuck_orders",
            {"state": State.SUCCEEDED, "transfer_failures": 5, "error_message": "the link is gone"},
            "paid, and its video could not be stored: the link is gone",
        ),
        ("objects_intact", {"poster_size_bytes": 4}, "its poster has 3 bytes in S3, not 4"),
    ],
)
def test_an_offender_is_named_with_its_reason(check, fields, what):
    """Each check names the partition and says what does not hold."""
    [offender] = judged(check, order(**fields)).violations
    assert (offender.partition, offender.what) == ("cat", what)


def test_an_older_order_of_an_edited_prompt_is_judged_too():
    """An uncertain order does not hide behind a newer one of the same partition."""
    lost = order(state=State.UNCERTAIN, error_message="reply lost")
    [offender] = judged("no_stuck_orders", lost, order(order_id=2)).violations
    assert offender.what == "whether it was ordered is unknown (order 1): reply lost"


def test_the_first_image_decides_the_ratio_of_frames():
    """Without an asked ratio any shape is right."""
    assert (
        judged("matches_request", order(width=100, height=900, request={"aspect_ratio": None})).violations
        == ()
    )


def test_only_the_newest_charges_speak_of_the_price_table():
    """What was charged long ago does not hide that prices have changed."""
    old = [order(order_id=number) for number in range(1000)]
    new = [order(order_id=1000 + number, points_charged=8_000_000) for number in range(30)]
    assert len(judged("estimate_accuracy", *old, *new).violations) == 30


def test_an_upper_bound_is_no_drift():
    """Estimates with input videos of unknown length say nothing about the price table."""
    unknown = order(points_charged=9_000_000, request={"video_urls": ["https://e.x/a.mp4"]})
    assert judged("estimate_accuracy", unknown).violations == ()
    facts = [{"kind": "video", "position": 1, "duration_s": 3.0}]
    known = order(
        points_charged=9_000_000, request={"video_urls": ["https://e.x/a.mp4"]}, reference_facts=facts
    )
    found = judged("estimate_accuracy", known)
    assert len(found.violations) == 1
    assert found.figures == {"seedance/estimate_drift": 1.25}


def test_one_refusal_among_many_is_no_finding():
    """A share under a tenth is told as a figure only."""
    orders = [order(f"p{n}") for n in range(19)] + [order("bad", state=State.REJECTED)]
    found = judged("rejection_rate", *orders)
    assert found.violations == ()
    assert found.figures == {"seedance/rejection_rate": 0.05}


def test_storage_that_cannot_be_listed_is_not_taken_for_empty():
    """Then the check fails once, not once for every video."""
    [offender] = judged("objects_intact", order("a"), order("b"), sizes=None).violations
    assert (offender.partition, offender.what) == ("(all)", "S3 could not be listed")


def test_a_budget_that_is_nearly_used_is_named():
    """Under a tenth left is a finding, with all its figures."""
    budget = Budget(window=Window.DAY, points=10_000_000)
    assert judged("budget_remaining", budgets=[BudgetUsage(budget, 5_000_000, 0)]).violations == ()
    found = judged("budget_remaining", budgets=[BudgetUsage(budget, 5_000_000, 4_500_000)])
    [offender] = found.violations
    assert offender.what == ("budget of 1 USD a day: 0.5 USD reserved, 0.45 USD spent, 0.05 USD left")
    assert found.figures == {"seedance/budget_remaining_usd": 0.05}
