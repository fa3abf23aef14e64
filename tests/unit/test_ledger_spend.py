"""Spend: exact sums in points, equal to those of the budgets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from factories import PENALTY, POINTS
from order_factory import OrderFactory
from trace_support import traced_orders

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.spend import Amounts, SpendBy
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.money import Window


@pytest.fixture
def orders(ledger, clock) -> OrderFactory:
    return traced_orders(ledger, clock)


@pytest.fixture
def busy(orders, clock) -> OrderFactory:
    """Make orders over two days, sets, models and runs, one in each state that counts differently."""
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


UNDECIDED = {"accepted": 0, "discarded": 0}
APRIL = Amounts(
    orders=2,
    videos=1,
    rejected=1,
    **UNDECIDED,
    charged=POINTS + PENALTY,
    penalties=PENALTY,
    assumed=0,
    reserved=0,
)
DOG = Amounts(orders=2, videos=1, rejected=0, **UNDECIDED, charged=POINTS, penalties=0, assumed=0, reserved=0)
OTHER = Amounts(
    orders=3, videos=0, rejected=0, **UNDECIDED, charged=0, penalties=0, assumed=POINTS, reserved=POINTS + 7
)
MAY = Amounts.total([DOG, OTHER])


@pytest.mark.each_database
def test_every_order_is_counted_once_under_every_key(busy, ledger):
    """Charges, penalties, assumed and reserved points of every order count once under each key."""
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
def test_resolutions_and_templates_are_keys_too(orders, ledger):
    """A resolution that was not asked for is "default"; prompts of no template have no key."""
    sharp = {"task_type": "seedance-2", "prompt": "p", "resolution": "720p"}
    orders.make(State.STORED, request=sharp, tags={"template": "mug"})
    orders.make(State.STORED, "dog", tags={})
    by_resolution = ledger.spend.total_by(SpendBy.RESOLUTION)
    assert {key: amounts.videos for key, amounts in by_resolution.items()} == {"720p": 1, "default": 1}
    by_template = ledger.spend.total_by(SpendBy.TEMPLATE)
    assert {key: amounts.videos for key, amounts in by_template.items()} == {"mug": 1, None: 1}


@pytest.mark.each_database
def test_the_last_verdict_on_a_video_counts(orders, ledger):
    """Once for each order, whatever was said before; a verdict on a video that was replaced counts there."""
    orders.make_many(State.STORED, "cat", "dog", "elk")
    for verdict, *keys in ((Verdict.DISCARDED, "cat", "dog"), (Verdict.ACCEPTED, "cat", "elk")):
        ledger.verdicts.give("spots", dict.fromkeys(keys, Judgement(verdict)), reviewer="ann")
    ledger.verdicts.undo("spots", ["elk"], reviewer="ann")
    orders.make(State.STORED, "dog")
    [amounts] = ledger.spend.total_by(SpendBy.SET).values()
    assert (amounts.videos, amounts.accepted, amounts.discarded) == (4, 1, 1)


@pytest.mark.each_database
def test_a_draft_and_its_final_are_one_clip(orders, ledger):
    """Both are charged for; the accepted final counts, and the accepted draft does not."""
    orders.make_many(State.STORED, "cat", "cat.final", "dog")
    drafts = {key: PartitionRequest(f"f-{key}", is_draft=True) for key in ("cat", "dog")}
    ledger.partitions.update("spots", {**drafts, "cat.final": PartitionRequest("f-cat.final")})
    accepted = dict.fromkeys(("cat", "cat.final", "dog"), Judgement(Verdict.ACCEPTED))
    ledger.verdicts.give("spots", accepted, reviewer="ann")
    [amounts] = ledger.spend.total_by(SpendBy.SET).values()
    assert (amounts.videos, amounts.accepted) == (3, 1)
    assert amounts.charged_per_accepted == amounts.charged
    assert ledger.partitions.drafts("spots") == {"cat", "dog"}


@pytest.mark.each_database
def test_tags_that_are_edited_in_a_file_count_from_then_on(busy, ledger):
    """All orders made for a partition have the tags that its prompt has now."""
    ledger.partitions.update("spots", {"dog": PartitionRequest("any", tags={"campaign": "winter"})})
    assert ledger.spend.total_by(SpendBy.TAG, tag="campaign") == {
        "autumn": OTHER,
        "spring": APRIL,
        "winter": DOG,
    }


@pytest.mark.each_database
def test_sums_agree_with_the_budgets(busy, ledger):
    """Charged plus assumed is what a budget has spent; reserved is the same in both."""
    windows = {Window.TOTAL: None, Window.MONTH: datetime(2026, 5, 1, tzinfo=UTC)}
    for window, since in windows.items():
        for prompt_set in (None, "spots", "other"):
            [usage] = ledger.budgets.usage([Budget(window=window, points=1, prompt_set=prompt_set)])
            amounts = Amounts.total(
                ledger.spend.total_by(SpendBy.DAY, since=since, prompt_set=prompt_set).values()
            )
            assert (amounts.charged + amounts.assumed, amounts.reserved) == (usage.spent, usage.reserved)


@pytest.mark.each_database
def test_a_time_and_a_set_narrow_the_sums(busy, ledger):
    """The first moment of a day belongs to it."""
    assert ledger.spend.total_by(SpendBy.SET, since=datetime(2026, 5, 1, tzinfo=UTC)) == {
        "spots": DOG,
        "other": OTHER,
    }
    assert ledger.spend.total_by(SpendBy.DAY, prompt_set="other") == {"2026-05-01": OTHER}
    assert ledger.spend.total_by(SpendBy.DAY, since=datetime(2026, 5, 2, tzinfo=UTC)) == {}
    booked = ledger.queries.get(1).booked_at
    assert ledger.spend.total_by(SpendBy.DAY, since=booked)["2026-04-06"] == APRIL


def _counts(sums):
    return {key: amounts.orders for key, amounts in sums.items()}


def test_a_further_attempt_counts_on_the_day_of_the_first(orders, ledger, clock):
    """As in budgets: the points came back, and the next attempt takes their place."""
    clock.now = datetime(2026, 4, 6, 23, 59, tzinfo=UTC)
    orders.make(State.FAILED, retry_at=clock())
    assert clock().day == 7
    assert _counts(ledger.spend.total_by(SpendBy.DAY)) == {"2026-04-06": 2}


@pytest.mark.parametrize("name", ["a.b", 'say "x"', "猫", "", "$", "a\\b", "x[0]"])
def test_tags_of_any_name_are_found(orders, ledger, name):
    """Tags of any name are found, since a name is not read as a JSON path."""
    orders.make(tags={name: "yes", "other": "no"})
    orders.make(State.QUEUED, "dog", tags={"other": "no"})
    assert _counts(ledger.spend.total_by(SpendBy.TAG, tag=name)) == {"yes": 1, None: 1}


@pytest.mark.each_database
def test_sums_are_exact(orders, ledger):
    """No sum goes through a floating-point number."""
    large = 2**60 + 1
    for partition in ("cat", "dog", "elk"):
        orders.make(State.SUCCEEDED, partition, charged=large)
    assert ledger.spend.total_by(SpendBy.SET)["spots"].charged == 3 * large


def test_an_empty_ledger_has_spent_nothing(ledger):
    """An empty ledger has no rows, and their sum is 0."""
    assert ledger.spend.total_by(SpendBy.DAY) == {}
    assert set(vars(Amounts.total([])).values()) == {0}
