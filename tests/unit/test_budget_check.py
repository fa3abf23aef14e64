"""Quotes against budgets: the same figures everywhere, and no limit is exceeded."""

from __future__ import annotations

import dataclasses
import json

import pytest

from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.engine.ordering.budget_check import BudgetCheck, budget_check, budgets_for
from seedance_dagster.engine.ordering.pending import read_pending
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import OrderingError, quote
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.money import Window, usd_to_points
from seedance_dagster.prompts import load_prompt_sets
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.settings import SettingError, Settings


def a_set(number: int = 3, *, name: str = "spots", **budgets: int) -> PromptSet:
    """Return a set of prompts of 0.40 USD each."""
    return PromptSet(
        name=name,
        budgets=budgets,
        prompts=tuple(
            Prompt(
                id=f"p{index}",
                request=GenerationRequest(
                    task_type="seedance-2-fast", prompt=f"{name} {index}", mode=Mode.TEXT_TO_VIDEO, duration=5
                ),
            )
            for index in range(number)
        ),
    )


def day(usd: float) -> Budget:
    return Budget(window=Window.DAY, points=usd_to_points(usd))


def make_request(idempotency_key: str = "c", **options: object) -> OrderRequest:
    return OrderRequest(idempotency_key=idempotency_key, run_id="r", **options)


def quotes_of(engine, prompt_set: PromptSet, request: OrderRequest):
    return quote(engine.services, list(prompt_set.partitions.values()), request, prompt_set=prompt_set.name)


def check(engine, prompt_set: PromptSet, **options: object) -> BudgetCheck:
    request = make_request("check", **options)
    budgets = budgets_for(engine.services, prompt_set.name, prompt_set.budgets)
    quotes = quotes_of(engine, prompt_set, request)
    return budget_check(engine.services, quotes, budgets, run_limit=request.max_points)


def ordered(engine, prompt_set: PromptSet, **options: object):
    request = make_request(**options)
    budgets = budgets_for(engine.services, prompt_set.name, prompt_set.budgets)
    return place_orders(engine.services, quotes_of(engine, prompt_set, request), request, budgets=budgets)


def test_everything_fits_without_a_limit(engine):
    """The text names only the number of orders and their estimate."""
    result = check(engine, a_set())
    assert (result.new, result.points, result.affordable) == (3, 12_000_000, 3)
    assert str(result) == "3 new orders, estimated at 1.20 USD"


@pytest.mark.parametrize(
    ("limits", "own", "run", "affordable"),
    [
        ([1.2], {}, None, 3),
        ([1.1999999], {}, None, 2),
        ([0.4], {}, None, 1),
        ([0.3999999], {}, None, 0),
        ([2], {"total": 8_000_000}, None, 2),
        ([2], {"total": 8_000_000, "day": 4_000_000}, None, 1),
        ([2], {"month": 12_000_000}, 8_000_000, 2),
        ([], {}, 4_000_000, 1),
        ([0.4, 2], {}, 12_000_000, 1),
    ],
)
def test_the_smallest_limit_decides_how_many_fit(engine, limits, own, run, affordable):
    """Common budgets, the set's own and the run's limit apply together, to the point."""
    engine.set_policy(budgets=tuple(map(day, limits)))
    assert check(engine, a_set(**own), max_points=run).affordable == affordable


def test_runs_and_schedules_report_the_same_figures(engine):
    """All name estimate, reserved, spent, limit and how many fit; a run that does not fit orders nothing."""
    engine.set_policy(budgets=(day(1.4),))
    [spent, reserved] = ordered(engine, a_set(2, name="others"))
    [claimed] = engine.ledger.claims.take("w", limit=1, max_in_flight=None)
    task = {"task_id": "t", "points_held": 4_000_000}
    submitted = engine.ledger.tasks.submitted(claimed, actor="w", due_at=engine.clock(), task=task)
    engine.ledger.tasks.succeeded(submitted, actor="w", task={"points_charged": 3_000_000})
    assert (spent.order.order_id, reserved.order.state) == (claimed.order_id, State.QUEUED)
    wanted = a_set(3, total=10_000_000)
    before = engine.ledger.queries.find()
    figures = "budget of 1.40 USD a day: 0.40 USD reserved, 0.30 USD spent, 0.70 USD left"
    own = "budget of prompt set spots of 1.00 USD in all: 0.00 USD reserved, 0.00 USD spent, 1.00 USD left"
    sentence = f"3 new orders, estimated at 1.20 USD; {figures}; {own}; they do not fit: the first 1 would"
    assert str(check(engine, wanted)) == sentence
    assert str(read_pending(engine.services, wanted, make_request()).budget_check) == sentence
    with pytest.raises(OrderingError) as caught:
        ordered(engine, wanted)
    assert str(caught.value) == (
        "nothing was ordered: 3 new videos may cost up to 1.20 USD and do not fit the "
        f"{figures}; nor the {own}; the first 1 would fit"
    )
    assert engine.ledger.queries.find() == before


def test_the_run_s_own_limit_is_named(engine):
    """The run's own limit is named in the figures and in the error."""
    assert str(check(engine, a_set(), max_points=7_000_000)) == (
        "3 new orders, estimated at 1.20 USD; limit of this run: 0.70 USD; they do not fit: the first 1 would"
    )
    with pytest.raises(
        OrderingError, match=r"do not fit the limit of this run of 0\.70 USD; the first 1 would fit"
    ):
        ordered(engine, a_set(), max_points=7_000_000)
    with pytest.raises(OrderingError, match=r"of this run of 0\.30 USD; none would fit"):
        ordered(engine, a_set(), max_points=3_000_000)


def test_existing_orders_need_no_money(engine):
    """Joined, reused and skipped prompts are not new orders."""
    engine.set_policy(budgets=(day(1.2),))
    ordered(engine, a_set())
    result = check(engine, a_set())
    assert (result.new, result.points, result.affordable) == (0, 0, 0)
    assert str(result).startswith(
        "0 new orders, estimated at 0.00 USD; budget of 1.20 USD a day: 1.20 USD reserved"
    )
    assert len(ordered(engine, a_set())) == 3


def test_a_regenerated_video_needs_money_again(engine):
    """A stored video is ordered again only where the run says so."""
    engine.set_policy(budgets=(day(0.4),))
    [accepted] = ordered(engine, a_set(1))
    [claimed] = engine.ledger.claims.take("w", limit=1, max_in_flight=None)
    submitted = engine.ledger.tasks.submitted(
        claimed, actor="w", due_at=engine.clock(), task={"task_id": "t"}
    )
    done = engine.ledger.tasks.succeeded(submitted, actor="w", task={"points_charged": 4_000_000})
    engine.ledger.tasks.stored(done, actor="w", artifacts={"sha256": "ab"})
    assert check(engine, a_set(1)).new == 0
    again = check(engine, a_set(1), regenerate=True)
    assert (again.new, again.affordable) == (1, 0)
    assert accepted.order.order_id == claimed.order_id


def test_pending_prompts_are_ordered_as_far_as_the_budget_goes(engine):
    """Prompts are ordered in the order of the set; those that no longer fit are left for another day."""
    engine.set_policy(budgets=(day(1),))
    pending = read_pending(engine.services, a_set(5), make_request())
    assert [quote.partition.key for quote in pending.affordable] == ["p0", "p1"]
    assert (pending.points, pending.budget_check.new, pending.budget_check.affordable) == (8_000_000, 5, 2)
    pending = read_pending(engine.services, a_set(5), make_request(max_points=4_000_000))
    assert [quote.partition.key for quote in pending.affordable] == ["p0"]


def test_a_limit_of_another_set_does_not_count(engine):
    """A set's own budget counts only its own orders."""
    ordered(engine, a_set(2, name="others"))
    own = budgets_for(engine.services, "spots", {"total": 4_000_000})
    assert own == [Budget(window=Window.TOTAL, points=4_000_000, prompt_set="spots")]
    assert check(engine, a_set(total=4_000_000)).affordable == 1


@pytest.mark.parametrize("budgets", [{"week": 5}, {"day": 0}, {"day": -1}, {"total": 1.5}, {"month": True}])
def test_a_set_made_in_python_with_an_invalid_budget_is_an_error(budgets):
    """The error names an unknown window, or an amount that is not a positive number of points."""
    with pytest.raises(ValueError, match="budget"):
        a_set(**budgets)


def test_after_a_charge_above_its_estimate_nothing_remains(engine):
    """The remainder is never negative, and nothing more is ordered."""
    engine.set_policy(budgets=(day(0.8),))
    ordered(engine, a_set(1))
    [claimed] = engine.ledger.claims.take("w", limit=1, max_in_flight=None)
    submitted = engine.ledger.tasks.submitted(
        claimed, actor="w", due_at=engine.clock(), task={"task_id": "t"}
    )
    engine.ledger.tasks.succeeded(submitted, actor="w", task={"points_charged": 9_000_000})
    result = check(engine, a_set(2))
    assert str(result.usages[0]).endswith("0.00 USD reserved, 0.90 USD spent, 0.00 USD left")
    assert (result.new, result.affordable) == (1, 0)
    assert dataclasses.astuple(result.usages[0])[1:] == (0, 9_000_000)


@pytest.mark.parametrize("amount", ["0", "-1", "none", "nan", "inf", "1e12", "1e-9"])
@pytest.mark.parametrize(
    "name", ["SEEDANCE_BUDGET_USD_PER_DAY", "SEEDANCE_BUDGET_USD_PER_MONTH", "SEEDANCE_PENDING_USD_PER_RUN"]
)
def test_an_invalid_budget_in_the_environment_is_an_error(name, amount):
    """The message names the variable, its value and what is allowed."""
    with pytest.raises(SettingError) as caught:
        Settings.from_environ({name: amount})
    message = str(caught.value)
    assert message.startswith(f"{name}: {amount!r} is ")
    assert message.endswith("; allowed are amounts in USD above 0, such as 25 or 12.50")


@pytest.mark.parametrize(
    ("amount", "problem"),
    [
        (0, "budget_usd is 0; allowed is a positive amount of USD"),
        ("much", "budget_usd is 'much'; allowed"),
        (True, "budget_usd is True; allowed"),
        ({"week": 5}, "budget_usd.week is not a window of time; allowed are day, month, total"),
        ({"day": -5}, "budget_usd.day is -5; allowed is a positive amount of USD"),
        ({}, "budget_usd is empty; allowed is a positive amount of USD for each of day, month, total"),
    ],
)
def test_an_invalid_budget_in_a_file_is_an_error(tmp_path, amount, problem):
    """The file is left out, and the message names it, the field and what is allowed."""
    file = {"name": "spots", "budget_usd": amount, "prompts": [{"prompt": "a cat"}]}
    (tmp_path / "spots.json").write_text(json.dumps(file))
    loaded = load_prompt_sets(tmp_path)
    assert loaded.sets == ()
    [message] = map(str, loaded.errors)
    assert "spots.json" in message
    assert problem in message
