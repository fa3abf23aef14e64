"""The status of a ledger."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from factories import NOW, Clock
from order_factory import OrderFactory

from seedance_dagster.api.limits import Limits
from seedance_dagster.cli import status_report
from seedance_dagster.cli.status_report import StatusReport
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.throttle import Throttle, read_throttle
from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.budgets import Budget, BudgetUsage
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.money import Window


def read_status(ledger: Ledger, *, now=NOW, throttle: Throttle | None = None, **options) -> StatusReport:
    return status_report.read_status(
        ledger,
        now=now,
        throttle=throttle or read_throttle(ledger, Policy(), Limits.load(), now=now),
        stale_after=timedelta(hours=12),
        **options,
    )


def test_an_empty_ledger_has_no_problems(ledger: Ledger) -> None:
    """Without orders nothing is counted, outstanding or wrong."""
    report = read_status(ledger)
    assert report.counts == report.open == report.problems == ()
    assert report.spent_usd == report.outstanding_usd == 0
    assert report.time_left == timedelta(0)


def test_the_time_left_is_unknown_until_a_video_is_stored(ledger: Ledger, orders: OrderFactory) -> None:
    """Before one task has finished there is no estimate of how long tasks take."""
    orders.make_many(State.QUEUED, "a", "b")
    report = read_status(ledger)
    assert report.time_left is None
    assert report.outstanding_usd == Decimal("0.8")


def test_uncertain_orders_say_nothing_of_the_time_left(
    ledger: Ledger, orders: OrderFactory, clock: Clock
) -> None:
    """They may wait for half a day, however long their tasks take, so others are estimated without them."""
    rendered = orders.make(State.SUBMITTED, "a", task={"vendor_created_at": clock.now})
    clock.forward(seconds=100)
    orders.advance(rendered, State.STORED, outcome={"vendor_ended_at": clock.now})
    orders.make_many(State.UNCERTAIN, "b", "c")
    assert read_status(ledger, now=clock.now).time_left is None
    orders.make(State.SUBMITTED, "d")
    assert read_status(ledger, now=clock.now, throttle=Throttle(1)).time_left == timedelta(seconds=100)


def test_money_and_time_add_up(ledger: Ledger, orders: OrderFactory, clock: Clock) -> None:
    """Charged points are spent, held and estimated ones outstanding; the rest takes its measured time."""
    submitted = orders.make(State.SUBMITTED, "a", task={"vendor_created_at": clock.now})
    orders.make_many(State.SUBMITTED, "b")
    orders.make_many(State.QUEUED, "c", "d", "e")
    clock.forward(seconds=100)
    orders.advance(submitted, State.STORED, outcome={"vendor_ended_at": clock.now})
    report = read_status(ledger, now=clock.now, throttle=Throttle(2))
    assert [(count.state, count.orders, count.usd) for count in report.counts] == [
        (State.QUEUED, 3, Decimal("1.2")),
        (State.SUBMITTED, 1, Decimal("0.4")),
        (State.STORED, 1, Decimal("0.4")),
    ]
    assert report.spent_usd == Decimal("0.4")
    assert report.outstanding_usd == Decimal("1.6")
    assert report.time_left == timedelta(seconds=200)
    assert [open_order.age for open_order in report.open] == [timedelta(seconds=100)] * 4
    assert report.problems == ()


def test_a_late_task_is_a_problem(ledger: Ledger, orders: OrderFactory) -> None:
    """A task that has been running for more than half a day is named."""
    orders.make(State.SUBMITTED, "a")
    [problem] = read_status(ledger, now=NOW + timedelta(hours=13)).problems
    assert problem.startswith("spots/a: task t-1 has been running since ")


def test_a_rejected_prompt_is_a_problem_until_it_is_ordered_again(
    ledger: Ledger, orders: OrderFactory
) -> None:
    """The newest order of a prompt decides whether it needs attention."""
    orders.make(State.REJECTED, "a", reason="real person")
    [problem] = read_status(ledger).problems
    assert problem.startswith("spots/a: rejected by moderation: real person; edit the prompt")
    orders.make(State.QUEUED, "a", fingerprint="edited")
    assert read_status(ledger).problems == ()


def test_a_rejected_prompt_that_left_its_file_is_no_problem(ledger: Ledger, orders: OrderFactory) -> None:
    """A person who removes the prompt has dealt with it; a charge that is unknown is still a warning."""
    orders.make(State.REJECTED, "a", reason="real person")
    orders.make(State.FAILED, "b", charged=None)
    ledger.partitions.update("spots", {key: PartitionRequest("f") for key in ("a", "b")})
    assert len(read_status(ledger).problems) == 2
    ledger.partitions.update("spots", {})
    report = read_status(ledger)
    assert report.problems == ()
    [warning] = report.warnings
    assert warning.startswith("spots/b: the vendor did not report the charge of task ")


@pytest.mark.parametrize("edited", [False, True])
def test_a_lost_reply_is_a_problem_even_after_an_edit(
    ledger: Ledger, orders: OrderFactory, edited: bool
) -> None:
    """Its money may be spent, whatever was ordered since."""
    orders.make(State.UNCERTAIN, "a", reason="the reply was lost")
    if edited:
        orders.make(State.QUEUED, "a", fingerprint="edited")
    [problem] = read_status(ledger).problems
    assert problem == (
        "spots/a: it is unknown whether the vendor received order 1 (the reply was lost); it is not sent "
        "again until `seedance-dagster reconcile` has resolved it, or `seedance-dagster reconcile 1 --end` "
        "gives it up"
    )


def test_missing_credits_are_a_problem_and_a_full_plan_is_not(ledger: Ledger) -> None:
    """Every pause is shown; only one that a person must end is a problem."""
    later = NOW + timedelta(minutes=1)
    ledger.pauses.start("plan limit", until=later, message="plan limit: 2 active")
    ledger.pauses.start("credits", until=later, message="credits: insufficient credits")
    report = read_status(ledger)
    assert [reason.partition(": ")[2] for reason in report.waits] == [
        "credits: insufficient credits",
        "plan limit: 2 active",
    ]
    assert report.problems == ("credits: insufficient credits",)


def test_the_status_of_one_set_leaves_out_the_others(ledger: Ledger, orders: OrderFactory) -> None:
    """Neither counts nor open orders of other sets are in it."""
    orders.make(State.QUEUED, "a")
    orders.make(State.QUEUED, "b", prompt_set="dogs")
    report = read_status(ledger, prompt_set="dogs")
    assert [count.prompt_set for count in report.counts] == ["dogs"]
    assert [open_order.order.partition for open_order in report.open] == ["b"]


def test_a_budget_that_is_nearly_used_is_a_warning(ledger: Ledger) -> None:
    """A person should know, and the command still exits with status 0."""
    usage = BudgetUsage(Budget(window=Window.DAY, points=1000), 0, 950)
    report = read_status(ledger, budgets=[usage])
    assert report.warnings == (f"little is left of the {usage}",)
    assert report.problems == ()
