"""How things stand in a ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from seedance_dagster.api.limits import Limits
from seedance_dagster.cli import status_report
from seedance_dagster.cli.status_report import Standing
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.throttle import Throttle, read_throttle
from seedance_dagster.ledger.budgets import Budget, BudgetUsage
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder, Order, State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.money import Window

NOON = datetime(2026, 4, 6, 12, 0, tzinfo=UTC)
TASK_POINTS = 4_000_000


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def read_usage(
    ledger: Ledger, *, now: datetime, throttle: Throttle | None = None, prompt_set: str | None = None
) -> Standing:
    return status_report.read_usage(
        ledger,
        now=now,
        throttle=throttle or read_throttle(ledger, Policy(), Limits.load(), now=now),
        stale_after=timedelta(hours=12),
        prompt_set=prompt_set,
    )


def accept(ledger: Ledger, *partitions: str, prompt_set: str = "cats") -> list[Order]:
    wanted = [
        NewOrder(
            prompt_set=prompt_set,
            partition=partition,
            fingerprint="f" * 64,
            request={"task_type": "seedance-2-fast"},
            estimated_points=TASK_POINTS,
            price_table="t",
            price_formula="f",
        )
        for partition in partitions
    ]
    return [order for order, _ in ledger.orders.place(wanted, OrderRequest(idempotency_key="c", run_id="r"))]


def submit(ledger: Ledger, clock: Clock, number: int) -> list[Order]:
    ledger.leases.acquire("w", "w", seconds=1_000_000)
    return [
        ledger.tasks.submitted(
            order,
            actor="w",
            due_at=clock.now,
            task={
                "task_id": f"task-{order.order_id}",
                "points_held": TASK_POINTS,
                "vendor_created_at": clock.now,
            },
        )
        for order in ledger.claims.take("w", limit=number, max_in_flight=None)
    ]


def finish(ledger: Ledger, clock: Clock, order: Order) -> None:
    [leased] = ledger.tasks.lease_due("w", State.SUBMITTED, limit=1, only=[order.order_id])
    done = ledger.tasks.succeeded(
        leased,
        actor="w",
        task={"points_held": 0, "points_charged": TASK_POINTS, "vendor_ended_at": clock.now},
    )
    [leased] = ledger.tasks.lease_due("w", State.SUCCEEDED, limit=1, only=[done.order_id])
    ledger.tasks.stored(leased, actor="w", artifacts={"video_key": "k", "sha256": "s", "size_bytes": 1})


def test_an_empty_ledger_has_nothing_wrong(ledger: Ledger) -> None:
    """No orders: nothing counted, nothing outstanding, no problem."""
    standing = read_usage(ledger, now=NOON)
    assert standing.counts == standing.open == standing.problems == ()
    assert standing.spent_usd == standing.outstanding_usd == 0
    assert standing.time_left == timedelta(0)


def test_time_left_is_unknown_until_a_video_is_there(ledger: Ledger) -> None:
    """No guess is made about how long tasks take before one has finished."""
    accept(ledger, "a", "b")
    standing = read_usage(ledger, now=NOON)
    assert standing.time_left is None
    assert standing.outstanding_usd == Decimal("0.8")


def test_money_and_time_add_up(ledger: Ledger, clock: Clock) -> None:
    """Charged points are spent, held and estimated ones outstanding, and the rest takes its measured time."""
    accept(ledger, "a", "b", "c", "d", "e")
    first, *_ = submit(ledger, clock, 2)
    clock.now += timedelta(seconds=100)
    finish(ledger, clock, first)
    standing = read_usage(ledger, now=clock.now, throttle=Throttle(2))
    assert [(each.state, each.orders, each.usd) for each in standing.counts] == [
        (State.QUEUED, 3, Decimal("1.2")),
        (State.SUBMITTED, 1, Decimal("0.4")),
        (State.STORED, 1, Decimal("0.4")),
    ]
    assert standing.spent_usd == Decimal("0.4")
    assert standing.outstanding_usd == Decimal("1.6")
    assert standing.time_left == timedelta(seconds=200)
    assert [each.age for each in standing.open] == [timedelta(seconds=100)] * 4
    assert standing.problems == ()


def test_a_late_task_is_a_problem(ledger: Ledger, clock: Clock) -> None:
    """A task that is at work for more than half a day is named."""
    accept(ledger, "a")
    submit(ledger, clock, 1)
    [problem] = read_usage(ledger, now=NOON + timedelta(hours=13)).problems
    assert "cats/a" in problem
    assert "task-1" in problem


def test_a_refused_prompt_is_a_problem_until_it_is_ordered_again(ledger: Ledger, clock: Clock) -> None:
    """The newest order of a prompt decides whether it needs somebody."""
    accept(ledger, "a")
    [order] = submit(ledger, clock, 1)
    [leased] = ledger.tasks.lease_due("w", State.SUBMITTED, limit=1)
    assert leased.order_id == order.order_id
    ledger.tasks.ended(
        leased, State.REJECTED, actor="w", error_class="moderation", reason="real person", task={}
    )
    [problem] = read_usage(ledger, now=NOON).problems
    assert problem.startswith("cats/a: rejected by moderation (moderation): real person; edit the prompt")
    ledger.orders.place(
        [
            NewOrder(
                prompt_set="cats",
                partition="a",
                fingerprint="e" * 64,
                request={"task_type": "seedance-2-fast"},
                estimated_points=1,
                price_table="t",
                price_formula="f",
            )
        ],
        OrderRequest(idempotency_key="again", run_id="r2"),
    )
    assert read_usage(ledger, now=NOON).problems == ()


def test_a_lost_reply_is_a_problem(ledger: Ledger, clock: Clock) -> None:
    """An order of which nobody knows whether it was made is named."""
    accept(ledger, "a")
    ledger.leases.acquire("w", "w", seconds=60)
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None)
    ledger.claims.mark_uncertain(claimed, actor="w", reason="the reply was lost")
    [problem] = read_usage(ledger, now=NOON).problems
    assert problem == (
        "cats/a: it is unknown whether the vendor received order 1 (the reply was lost); it is not sent "
        "again until `seedance-dagster reconcile` has settled it"
    )


def test_an_older_order_of_an_edited_prompt_is_a_problem_while_it_is_stuck(ledger: Ledger) -> None:
    """Its money may be spent, whatever was ordered since."""
    accept(ledger, "a")
    ledger.leases.acquire("w", "w", seconds=60)
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None)
    ledger.claims.mark_uncertain(claimed, actor="w", reason="the reply was lost")
    edited = NewOrder(
        prompt_set="cats",
        partition="a",
        fingerprint="e" * 64,
        request={"task_type": "seedance-2-fast"},
        estimated_points=1,
        price_table="t",
        price_formula="f",
    )
    ledger.orders.place([edited], OrderRequest(idempotency_key="again", run_id="r2"))
    [problem] = read_usage(ledger, now=NOON).problems
    assert "order 1 " in problem


def test_missing_credits_are_a_problem_and_a_full_plan_is_not(ledger: Ledger, clock: Clock) -> None:
    """Only a pause that somebody must end is a problem; each is told."""
    later = clock.now + timedelta(minutes=1)
    ledger.pauses.start("plan limit", until=later, message="plan limit: 2 active")
    ledger.pauses.start("credits", until=later, message="credits: insufficient credits")
    standing = read_usage(ledger, now=NOON)
    assert standing.waits == (
        "submitting pauses: credits: insufficient credits",
        "submitting pauses: plan limit: 2 active",
    )
    assert standing.problems == ("credits: insufficient credits",)


def test_one_set_can_be_looked_at_alone(ledger: Ledger) -> None:
    """Other sets' orders are left out."""
    accept(ledger, "a")
    accept(ledger, "b", prompt_set="dogs")
    standing = read_usage(ledger, now=NOON, prompt_set="dogs")
    assert [count.prompt_set for count in standing.counts] == ["dogs"]
    assert [each.order.partition for each in standing.open] == ["b"]


def test_a_budget_that_is_nearly_used_is_a_warning(ledger: Ledger) -> None:
    """A person should know, and the command still ends with status 0."""
    usage = BudgetUsage(Budget(window=Window.DAY, points=1000), 0, 950)
    standing = status_report.read_usage(
        ledger, now=NOON, throttle=Throttle(2), stale_after=timedelta(hours=12), budgets=[usage]
    )
    assert standing.warnings == (f"little is left of the {usage}",)
    assert standing.problems == ()
