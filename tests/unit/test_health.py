"""The judgements that checks, `status` and the audit share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from audit_snapshots import POINTS, stored_order

from seedance_dagster.health import (
    low_budgets,
    no_video_reason,
    price_drifts,
    stuck_reason,
    transfer_is_broken,
)
from seedance_dagster.ledger.budgets import Budget, BudgetUsage
from seedance_dagster.ledger.order import State
from seedance_dagster.money import Window

NOW = datetime(2026, 4, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "stuck"),
    [
        ({"state": State.UNCERTAIN}, True),
        ({"state": State.SUBMITTED, "submitted_at": NOW - timedelta(hours=13)}, True),
        ({"state": State.SUBMITTED, "submitted_at": NOW - timedelta(hours=11)}, False),
        ({"state": State.SUBMITTED, "submitted_at": NOW, "error_class": "unreadable"}, True),
        ({"state": State.SUBMITTED, "submitted_at": NOW, "error_message": "no answer"}, False),
        ({"state": State.SUCCEEDED, "transfer_failures": 5}, True),
        ({"state": State.SUCCEEDED, "transfer_failures": 4}, False),
        ({"state": State.STORED, "transfer_failures": 5}, False),
        ({"state": State.QUEUED}, False),
    ],
)
def test_an_order_is_stuck_when_it_needs_a_person(fields, stuck):
    """Uncertain orders, very late tasks and broken transfers need a person; other orders proceed."""
    order = stored_order(1, **fields)
    assert (stuck_reason(order, now=NOW, stale_after=timedelta(hours=12)) is not None) is stuck
    assert transfer_is_broken(order) is (stuck and order.state is State.SUCCEEDED)


def test_a_late_task_that_cannot_be_read_says_so():
    """An API that has been down for long is not a task that runs for long."""
    order = stored_order(1, state=State.SUBMITTED, submitted_at=NOW, error_message="no answer")
    reason = stuck_reason(order, now=NOW + timedelta(hours=13), stale_after=timedelta(hours=12))
    assert reason.endswith(" UTC, and it could not be read lately: no answer")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"state": State.REJECTED, "error_class": "moderation", "error_message": "violence"},
            "rejected by moderation: violence; edit the prompt, or set resubmit_rejected",
        ),
        ({"state": State.FAILED, "points_charged": 0}, "failed: no reason given"),
        (
            {"state": State.FAILED, "points_charged": POINTS, "error_message": "x"},
            "failed: x; it was paid for: to pay again, set resubmit_rejected",
        ),
        ({"state": State.FAILED, "points_charged": None}, "failed: no reason given; it was paid for"),
    ],
)
def test_an_order_without_a_video_says_why_and_what_helps(fields, reason):
    """An order without a video says why, what helps, and if its attempt was or may have been paid for."""
    assert str(no_video_reason(stored_order(1, **fields))).startswith(reason)
    assert no_video_reason(stored_order(1)) is None


def test_drift_is_measured_by_task_type_even_where_the_table_is_right():
    """A single wrong charge shows in the figures and does not make the table outdated."""
    orders = [stored_order(number) for number in range(1, 10)]
    [drift] = price_drifts([*orders, stored_order(10, points_charged=2 * POINTS)])
    assert (len(drift.newest), len(drift.deviating)) == (10, 1)
    assert drift.difference_points == POINTS
    assert not drift.outdated
    assert price_drifts([]) == []


def test_a_budget_is_low_below_a_tenth():
    """Exactly a tenth remaining is enough."""
    budget = Budget(window=Window.DAY, points=1000)
    usages = [BudgetUsage(budget, 0, spent) for spent in (900, 901, 2000)]
    assert low_budgets(usages) == usages[1:]
