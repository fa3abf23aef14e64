"""Where the money went: exact sums in points, the same as budgets count."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from factories import PENALTY, POINTS, OrderFactory
from trace_support import traced_orders

from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.spend import Amounts, SpendBy
from seedance_dagster.money import Window


@pytest.fixture
def orders(ledger, clock) -> OrderFactory:
    return traced_orders(ledger, clock)


@pytest.fixture
def busy(orders, clock) -> OrderFactory:
    """Two days, two sets, two models, two runs: one order in each state that counts differently."""
    pro = {"task_type": "seedance-2", "prompt": "p"}
    orders.make(State.STORED, tags={"campaign": "spring"})
    orders.make(State.REJECTED, tags={"campaign": "spring"})
    clock.forward(days=25)  # the first of the next month
    orders.make(State.STORED, "dog", request=pro, tags={}, run_id="run-2")
    orders.make(State.FAILED, "dog", request=pro, tags={}, run_id="run-2")
    orders.make(State.SUCCEEDED, "elk", prompt_set="other", charged=None, tags={"campaign": "autumn"})
    orders.make(State.SUBMITTED, "fox", prompt_set="other", tags={"campaign": "autumn"})
    orders.make(State.QUEUED, "gnu", prompt_set="other", estimated_points=7, tags={"campaign": "autumn"})
    return orders


APRIL = Amounts(orders=2, videos=1, charged=POINTS + PENALTY, penalties=PENALTY, assumed=0, reserved=0)
DOG = Amounts(orders=2, videos=1, charged=POINTS, penalties=0, assumed=0, reserved=0)
OTHER = Amounts(orders=3, videos=0, charged=0, penalties=0, assumed=POINTS, reserved=POINTS + 7)
MAY = Amounts.total([DOG, OTHER])


@pytest.mark.each_database
def test_every_order_is_summed_once_whatever_it_is_summed_by(busy, ledger):
    """Charges, penalties, what is assumed and what is reserved, under every kind of key."""
    fast = Amounts.total([APRIL, OTHER])
    assert ledger.spend.total_by(SpendBy.DAY) == {"2026-04-06": APRIL, "2026-05-01": MAY}
    assert ledger.spend.total_by(SpendBy.MONTH) == {"2026-04": APRIL, "2026-05": MAY}
    assert ledger.spend.total_by(SpendBy.SET) == {"other": OTHER, "spots": Amounts.total([APRIL, DOG])}
    assert ledger.spend.total_by(SpendBy.MODEL) == {"seedance-2": DOG, "seedance-2-fast": fast}
    assert ledger.spend.total_by(SpendBy.RUN) == {"run-1": fast, "run-2": DOG}
    by_tag = ledger.spend.total_by(SpendBy.TAG, tag="campaign")
    assert by_tag == {"autumn": OTHER, "spring": APRIL, None: DOG}
    assert list(by_tag) == ["autumn", "spring", None]


@pytest.mark.each_database
def test_sums_agree_with_the_budgets(busy, ledger):
    """What is charged and assumed is what budgets call spent; what is reserved is the same."""
    windows = {Window.TOTAL: None, Window.MONTH: datetime(2026, 5, 1, tzinfo=UTC)}
    for window, since in windows.items():
        for prompt_set in (None, "spots", "other"):
            [standing] = ledger.budgets.usage([Budget(window=window, points=1, prompt_set=prompt_set)])
            found = Amounts.total(
                ledger.spend.total_by(SpendBy.DAY, since=since, prompt_set=prompt_set).values()
            )
            assert (found.charged + found.assumed, found.reserved) == (standing.spent, standing.reserved)


@pytest.mark.each_database
def test_a_time_and_a_set_narrow_it_down(busy, ledger):
    """The first moment of a day belongs to it."""
    assert ledger.spend.total_by(SpendBy.SET, since=datetime(2026, 5, 1, tzinfo=UTC)) == {
        "spots": DOG,
        "other": OTHER,
    }
    assert ledger.spend.total_by(SpendBy.DAY, prompt_set="other") == {"2026-05-01": OTHER}
    assert ledger.spend.total_by(SpendBy.DAY, since=datetime(2026, 5, 2, tzinfo=UTC)) == {}
    booked = ledger.queries.get(1).booked_at
    assert ledger.spend.total_by(SpendBy.DAY, since=booked)["2026-04-06"] == APRIL


def test_a_further_attempt_counts_on_the_day_of_the_first(orders, ledger, clock):
    """As in budgets: the points came back, and the next attempt takes their place."""
    clock.now = datetime(2026, 4, 6, 23, 59, tzinfo=UTC)
    orders.make(State.FAILED, retry_at=clock())
    assert clock().day == 7
    assert {key: each.orders for key, each in ledger.spend.total_by(SpendBy.DAY).items()} == {"2026-04-06": 2}


@pytest.mark.parametrize("name", ["a.b", 'say "x"', "猫", "", "$", "a\\b", "x[0]"])
def test_tags_of_any_name_are_found(orders, ledger, name):
    """A tag's name is no path into JSON."""
    orders.make(tags={name: "yes", "other": "no"})
    orders.make(State.QUEUED, "dog", tags={"other": "no"})
    found = ledger.spend.total_by(SpendBy.TAG, tag=name)
    assert {key: each.orders for key, each in found.items()} == {"yes": 1, None: 1}


@pytest.mark.each_database
def test_sums_are_exact_to_the_point(orders, ledger):
    """No sum goes through a number with a fraction."""
    large = 2**60 + 1
    for partition in ("cat", "dog", "elk"):
        orders.make(State.SUCCEEDED, partition, charged=large)
    assert ledger.spend.total_by(SpendBy.SET)["spots"].charged == 3 * large


def test_nothing_ordered_is_nothing_spent(ledger):
    """An empty ledger has no rows, and their sum is 0."""
    assert ledger.spend.total_by(SpendBy.DAY) == {}
    assert set(vars(Amounts.total([])).values()) == {0}
