"""Budgets of a prompt set, as a file or Python code states them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seedance_dagster.money import WINDOWS, Window, usd_to_points
from seedance_dagster.prompts.problems import shown

_ALLOWED_WINDOWS = ", ".join(WINDOWS)


def read_budgets(value: Any, report: Callable[[str, str], object]) -> dict[str, int]:
    """Read the field `budget_usd`: one amount for all time, or amounts by window.

    Args:
        value: The value in the file.
        report: Called with field and message of each problem.

    Returns:
        Points by window.
    """
    if not isinstance(value, Mapping):
        points = _points(value)
        if points is None:
            report(
                "budget_usd",
                f"is {shown(value)}; allowed is a positive amount of USD, or one for each of "
                f"{_ALLOWED_WINDOWS}",
            )
            return {}
        return {Window.TOTAL.value: points}
    if not value:
        report("budget_usd", f"is empty; allowed is a positive amount of USD for each of {_ALLOWED_WINDOWS}")
    budgets = {}
    for window, amount in value.items():
        points = _points(amount)
        if window not in WINDOWS:
            report(f"budget_usd.{window}", f"is not a window of time; allowed are {_ALLOWED_WINDOWS}")
        elif points is None:
            report(f"budget_usd.{window}", f"is {shown(amount)}; allowed is a positive amount of USD")
        else:
            budgets[str(window)] = points
    return budgets


def check_budgets(budgets: Mapping[str, int]) -> None:
    """Raise `ValueError` unless every budget is a positive number of points for a known window."""
    for window, points in budgets.items():
        if window not in WINDOWS:
            msg = f"the window of a budget is {window!r}; allowed are {_ALLOWED_WINDOWS}"
            raise ValueError(msg)
        if isinstance(points, bool) or not isinstance(points, int) or points <= 0:
            msg = f"the budget for {window} is {points!r}; allowed is a positive whole number of points"
            raise ValueError(msg)


def _points(amount: Any) -> int | None:
    if isinstance(amount, bool) or not isinstance(amount, int | float | str):
        return None
    try:
        points = usd_to_points(amount)
    except ValueError:
        return None
    return points if points > 0 else None
