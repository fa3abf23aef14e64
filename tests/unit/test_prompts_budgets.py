"""Budgets of prompt sets in files and in Python."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompts_support import load, problems_of

from seedance_dagster.money import Window
from seedance_dagster.prompts import PromptSet
from seedance_dagster.prompts.budgets import read_budgets


def load_budget(tmp_path, written: str, suffix: str = "yaml"):
    return load(
        tmp_path, f"a.{suffix}", f'{{"name": "a", "budget_usd": {written}, "prompts": [{{"prompt": "x"}}]}}'
    )


@pytest.mark.parametrize("suffix", ["yaml", "json"])
@pytest.mark.parametrize(
    ("written", "budgets"),
    [
        ("150", {"total": 1_500_000_000}),
        ("0.1", {"total": 1_000_000}),
        ('"12.3456789"', {"total": 123_456_789}),
        ("0.0000001", {"total": 1}),
        ("0.00000019", {"total": 1}),
        ('{"day": 20}', {"day": 200_000_000}),
        (
            '{"total": 150, "month": 100, "day": 5.5}',
            {"total": 1_500_000_000, "month": 10**9, "day": 55_000_000},
        ),
    ],
)
def test_budgets_of_a_file(tmp_path, suffix, written, budgets):
    """A number is for all time, names are windows, and amounts are kept in exact points."""
    loaded = load_budget(tmp_path, written, suffix)
    assert problems_of(loaded) == []
    assert loaded.sets[0].budgets == budgets


def test_a_set_without_a_budget_has_none(tmp_path):
    """Without the field there is no limit; tables have no place for one."""
    assert load(tmp_path, "a.yaml", "{name: a, prompts: [{prompt: x}]}").sets[0].budgets == {}
    assert load(tmp_path, "a.jsonl", '{"prompt": "x"}').sets[0].budgets == {}


NO_AMOUNT = [
    "0",
    "-5",
    "true",
    "null",
    '"five"',
    '""',
    '"nan"',
    '"Infinity"',
    "0.00000001",
    "1000000000000",
    "[5]",
]


@pytest.mark.parametrize("written", [*NO_AMOUNT, '"-1"', '"1e999999"'])
def test_an_invalid_amount_is_reported(tmp_path, written):
    """Only a positive amount is a budget; anything else is a problem, also a field without a value."""
    loaded = load_budget(tmp_path, written)
    assert loaded.sets == ()
    [(prompt, field, message)] = problems_of(loaded)
    assert (prompt, field) == (None, "budget_usd")
    assert "allowed is a positive amount of USD, or one for each of day, month, total" in message


@pytest.mark.parametrize("written", [*NO_AMOUNT, '{"x": 5}'])
def test_an_invalid_amount_of_a_window_is_reported(tmp_path, written):
    """The problem's field names the window."""
    [(_, field, message)] = problems_of(load_budget(tmp_path, f'{{"day": 5, "month": {written}}}'))
    assert field == "budget_usd.month"
    assert message.endswith("; allowed is a positive amount of USD")


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_reported(tmp_path, written):
    """Numbers that only Python's JSON knows are not amounts."""
    assert [field for _, field, _ in problems_of(load_budget(tmp_path, written, "json"))] == ["budget_usd"]


def test_all_problems_of_a_budget_are_reported(tmp_path):
    """Each unknown window and each invalid amount is a problem of its own, with what is allowed."""
    loaded = load_budget(tmp_path, '{"week": 5, "day": -1, "Month": 5, "1": 2}')
    assert loaded.sets == ()
    assert [(field, message) for _, field, message in problems_of(loaded)] == [
        ("budget_usd.week", "is not a window of time; allowed are day, month, total"),
        ("budget_usd.day", "is -1; allowed is a positive amount of USD"),
        ("budget_usd.Month", "is not a window of time; allowed are day, month, total"),
        ("budget_usd.1", "is not a window of time; allowed are day, month, total"),
    ]
    assert problems_of(load_budget(tmp_path, "{}")) == [
        (None, "budget_usd", "is empty; allowed is a positive amount of USD for each of day, month, total")
    ]


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ({"week": 5}, "'week'; allowed are day, month, total"),
        ({"day": 0}, "the budget for day is 0; allowed is a positive whole number of points"),
        ({"day": -5}, "is -5; allowed is a positive whole number of points"),
        ({"day": 5.0}, "is 5.0; allowed is a positive whole number of points"),
        ({"day": True}, "is True; allowed is a positive whole number of points"),
        ({"day": None}, "is None; allowed is a positive whole number of points"),
        ({3: 5}, "the window of a budget is 3"),
    ],
)
def test_budgets_in_python_are_checked(budgets, message):
    """Windows and amounts are checked when a set is created."""
    with pytest.raises(ValueError, match=message):
        PromptSet("a", (), budgets=budgets)


def test_windows_are_words():
    """A window may be its word or the member of the enumeration."""
    assert PromptSet("a", (), budgets={Window.DAY: 5, "total": 7}).budgets == {"day": 5, "total": 7}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals().map(str),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*Window, "week"]), inner),
    max_leaves=4,
)


@given(json_values)
def test_any_value_is_a_budget_or_a_problem(value):
    """Any value in a file gives a valid budget or a problem."""
    problems = []
    budgets = read_budgets(json.loads(json.dumps(value)), lambda *problem: problems.append(problem))
    assert budgets or problems
    PromptSet("a", (), budgets=budgets)
