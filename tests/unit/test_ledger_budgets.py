"""Budgets: reserved when an order is placed, settled when the vendor is done, never exceeded."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa
from processes_support import loaded_processes

from seedance_dagster.ledger.budgets import Budget, order_money
from seedance_dagster.ledger.errors import BudgetExceededError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.ledger.tables import schema
from seedance_dagster.money import Window

pytestmark = pytest.mark.each_database

REQUEST = OrderRequest(idempotency_key="c", run_id="r")
DAY = Budget(window=Window.DAY, points=10_000_000)


@pytest.fixture
def submitted(orders):
    """Places an order and submits it."""
    return partial(orders.make, State.SUBMITTED)


def used(ledger: Ledger, budget: Budget = DAY) -> tuple[int, int]:
    [usage] = ledger.budgets.usage([budget])
    return usage.reserved, usage.spent


def test_a_run_that_would_exceed_a_budget_places_nothing(ledger, new_order):
    """All or nothing, and the error names estimate, limit, reserved, spent and how many would fit."""
    ledger.orders.place([new_order("first")], REQUEST, [DAY])
    with pytest.raises(BudgetExceededError) as caught:
        ledger.orders.place([new_order(f"p{n}") for n in range(3)], REQUEST, [DAY])
    assert str(caught.value) == (
        "3 new videos may cost up to 1.20 USD and do not fit the budget of 1.00 USD a day: "
        "0.40 USD reserved, 0.00 USD spent, 0.60 USD left; the first 1 would fit"
    )
    assert caught.value.affordable == 1
    assert len(ledger.queries.find()) == 1
    assert used(ledger) == (4_000_000, 0)


def test_an_order_that_fits_exactly_is_placed(ledger, new_order):
    """The limit itself may be reached, and joined or reused orders cost nothing."""
    exact = dataclasses.replace(DAY, points=8_000_000)
    ledger.orders.place([new_order("a"), new_order("b")], REQUEST, [exact])
    [(_, outcome)] = ledger.orders.place([new_order("a")], REQUEST, [exact])
    assert outcome is Outcome.JOINED
    with pytest.raises(BudgetExceededError):
        ledger.orders.place([new_order("c", estimated_points=1)], REQUEST, [exact])


def test_a_run_has_a_limit_of_its_own(ledger, new_order):
    """The limit of a run counts its own orders only, those of earlier tries too, where they are placed."""
    limited = dataclasses.replace(REQUEST, max_points=4_000_000)
    ledger.orders.place([new_order("a")], REQUEST)
    with pytest.raises(
        BudgetExceededError, match=r"of 0\.40 USD, 0\.40 USD of which are used; none would fit"
    ):
        ledger.orders.place([new_order("a"), new_order("b")], limited)
    b = dataclasses.replace(limited, idempotency_key="b")
    ledger.orders.place([new_order("a"), new_order("b")], b)
    another = dataclasses.replace(limited, idempotency_key="another")
    with pytest.raises(BudgetExceededError, match=r"limit of this run of 0\.40 USD; the first 1 would fit"):
        ledger.orders.place([new_order("c"), new_order("d")], another)


def test_a_hold_above_the_estimate_counts(ledger, submitted):
    """The vendor's hold is reserved when it is more than the estimate."""
    submitted(held=6_000_000)
    assert used(ledger) == (6_000_000, 0)


def test_the_terminal_state_settles(ledger, submitted):
    """A finished task counts with its charge, a failed one with nothing, a rejected one with its penalty."""
    done, rejected, failed = submitted("done"), submitted("rejected"), submitted("failed", retries=0)
    ledger.tasks.succeeded(done, actor="w", task={"points_charged": 3_000_000, "points_held": 0})
    task = {"points_charged": 40_000, "points_held": 0}
    ledger.tasks.ended(rejected, State.REJECTED, actor="w", error_class="moderation", reason="no", task=task)
    task = {"points_charged": 0, "points_held": 0}
    ledger.tasks.ended(failed, State.FAILED, actor="w", error_class="vendor", reason="oops", task=task)
    assert used(ledger) == (0, 3_040_000)


def test_an_unknown_charge_is_not_booked_as_free(ledger, submitted):
    """A finished task whose charge is unknown counts with its estimate."""
    ledger.tasks.succeeded(submitted(), actor="w", task={"points_charged": None, "points_held": 0})
    assert used(ledger) == (0, 4_000_000)


@pytest.mark.parametrize("end", [State.FAILED, State.REJECTED])
def test_a_failure_with_an_unknown_charge_is_not_booked_as_free(ledger, submitted, end):
    """Points that may still be held count as spent in budgets, and as gone from the account."""
    task = {"points_charged": None, "points_held": 5_000_000}
    ledger.tasks.ended(submitted(), end, actor="w", error_class="x", reason="oops", task=task)
    assert used(ledger) == (0, 5_000_000)
    assert ledger.workload.flow("an account").outflow == 5_000_000


def test_the_next_attempt_takes_the_place_of_the_first(ledger, submitted, clock):
    """A retry is reserved on the day of its first attempt, so that it exceeds no later day's budget."""
    first = submitted()
    clock.forward(days=1)
    _, again = ledger.tasks.ended(
        first,
        State.FAILED,
        actor="w",
        error_class="vendor",
        reason="oops",
        task={"points_charged": 0, "points_held": 0},
        retry_at=clock(),
    )
    assert again.booked_at == first.booked_at
    assert used(ledger) == (0, 0)


@pytest.mark.parametrize(
    ("window", "span", "left"),
    [
        (Window.DAY, {"days": 1}, 0),
        (Window.MONTH, {"days": 20}, 4_000_000),
        (Window.MONTH, {"days": 25}, 0),
        (Window.TOTAL, {"days": 4000}, 4_000_000),
    ],
)
def test_a_window_ends_in_utc(ledger, new_order, clock, window, span, left):
    """The clock stands at 6 April, 18:00 UTC: days end at midnight, months on the first, all time never."""
    ledger.orders.place([new_order()], REQUEST)
    clock.forward(**span)
    assert used(ledger, Budget(window=window, points=10**9)) == (left, 0)


def test_a_budget_counts_each_order_as_its_own_money_says(ledger, orders):
    """In each state, held or not, charged or not: also where the vendor charged early, or never said so."""
    money = [(held, charged) for held in (None, 0, 9) for charged in (None, 0, 5)]
    rows = [(state, *points) for state in State for points in money]
    placed = orders.make_many(State.QUEUED, *(f"p{number}" for number in range(len(rows))))
    columns = ("state", "points_held", "points_charged")
    with ledger._database.writing() as connection:
        for order, row in zip(placed, rows, strict=True):
            task = f"task{order.order_id}" if order.order_id % 2 else None
            changed = schema.orders.update().where(schema.orders.c.order_id == order.order_id)
            connection.execute(changed.values(**dict(zip(columns, row, strict=True)), task_id=task))
        money_columns = order_money(connection)
        query = sa.select(sa.func.sum(money_columns.reserved), sa.func.sum(money_columns.spent))
        reserved, spent = connection.execute(query).one()
    assert reserved
    assert spent
    for window in Window:
        for name in (None, "spots"):
            assert used(ledger, Budget(window=window, points=1, prompt_set=name)) == (reserved, spent)
        assert used(ledger, Budget(window=window, points=1, prompt_set="other")) == (0, 0)


def test_a_set_has_a_budget_of_its_own(ledger, new_order):
    """Another set's money does not count in it, all sets' money counts in the common one."""
    own = Budget(window=Window.TOTAL, points=5_000_000, prompt_set="spots")
    ledger.orders.place([new_order("x", prompt_set="other")], REQUEST, [DAY])
    ledger.orders.place([new_order("y")], REQUEST, [DAY, own])
    assert (used(ledger, own), used(ledger)) == ((4_000_000, 0), (8_000_000, 0))
    with pytest.raises(BudgetExceededError, match=r"budget of prompt set spots of 0\.50 USD in all"):
        ledger.orders.place([new_order("z", estimated_points=2_000_000)], REQUEST, [DAY, own])


def test_sixteen_processes_cannot_exceed_a_budget(ledger_url, new_order):
    """Sixteen processes that place orders at once stop exactly at the limit, on each database."""
    Ledger.open(ledger_url).close()
    jobs = [(ledger_url, new_order(f"p{n}", estimated_points=3_000_000)) for n in range(16)]
    with ProcessPoolExecutor(16, mp_context=loaded_processes()) as pool:
        placed = list(pool.map(_place, jobs))
    assert sum(placed) == 10 * 3
    ledger = Ledger.open(ledger_url)
    assert used(ledger, dataclasses.replace(DAY, points=100_000_000)) == (90_000_000, 0)
    ledger.close()


def test_the_runs_of_one_backfill_share_its_limit(ledger_url, new_order):
    """Row d14: parts that order at once, again and again, stop together at the limit of the whole."""
    Ledger.open(ledger_url).close()
    jobs = [(ledger_url, new_order(f"p{n}"), 5 * 4_000_000) for n in range(4)]
    with ProcessPoolExecutor(4, mp_context=loaded_processes()) as pool:
        placed = list(pool.map(_place_within, jobs))
        retried = list(pool.map(_place_within, jobs))
    assert (sum(placed), sum(retried)) == (5, 5)  # what the first tries ordered is joined
    ledger = Ledger.open(ledger_url)
    assert len(ledger.queries.find()) == 5
    ledger.close()


def _place_within(job: tuple[str, NewOrder, int]) -> int:
    """Place up to three orders for one backfill; return how many stand."""
    url, new, limit = job
    ledger = Ledger.open(url)
    request = OrderRequest(idempotency_key="backfill", run_id=new.partition, max_points=limit)
    count = 0
    for number in range(3):
        name = f"{new.partition}-{number}"
        try:
            ledger.orders.place([dataclasses.replace(new, partition=name, fingerprint=name)], request)
        except BudgetExceededError:
            continue
        count += 1
    ledger.close()
    return count


def _place(job: tuple[str, NewOrder]) -> int:
    url, new = job
    ledger = Ledger.open(url)
    count = 0
    for number in range(5):
        name = f"{new.partition}-{number}"
        wanted = dataclasses.replace(new, partition=name, fingerprint=name)
        try:
            ledger.orders.place([wanted], REQUEST, [Budget(window=Window.DAY, points=92_000_000)])
        except BudgetExceededError:
            continue
        count += 1
    ledger.close()
    return count
