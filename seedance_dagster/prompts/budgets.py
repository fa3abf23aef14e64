"""Budgets of a prompt set: the windows of time they may be for, and how a file tells them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seedance_dagster.money import WINDOWS, Window, usd_to_points
from seedance_dagster.prompts.problems import shown

_AMOUNT_RULE = "an amount is a positive number of USD"


def read_budgets(value: Any, report: Callable[[str, str], object]) -> dict[str, int]:
    """What a file says under `budget_usd`: one amount for all time, or amounts by window.

    Args:
        value: As the file gave it.
        report: Called with a field and a message for each thing that is wrong.

    Returns:
        Points by window.
    """
    if not isinstance(value, Mapping):
        points = _points(value)
        if points is None:
            report(
                "budget_usd",
                f"{shown(value)} cannot be used: {_AMOUNT_RULE}, or names ({_named()}) with amounts",
            )
            return {}
        return {Window.TOTAL.value: points}
    if not value:
        report("budget_usd", f"names no window of time; allowed: {_named()}")
    budgets = {}
    for window, amount in value.items():
        points = _points(amount)
        if window not in WINDOWS:
            report(f"budget_usd.{window}", f"is no window of time; allowed: {_named()}")
        elif points is None:
            report(f"budget_usd.{window}", f"{shown(amount)} cannot be used: {_AMOUNT_RULE}")
        else:
            budgets[str(window)] = points
    return budgets


def check_budgets(budgets: Mapping[str, int]) -> None:
    """Raise `ValueError` unless all are positive points by a known window."""
    for window, points in budgets.items():
        if window not in WINDOWS:
            msg = f"{window!r} is no window of a budget; allowed: {_named()}"
            raise ValueError(msg)
        if isinstance(points, bool) or not isinstance(points, int) or points <= 0:
            msg = f"the budget for {window} must be a positive whole number of points, not {points!r}"
            raise ValueError(msg)


def _points(amount: Any) -> int | None:
    if isinstance(amount, bool) or not isinstance(amount, int | float | str):
        return None
    try:
        points = usd_to_points(amount)
    except ValueError:
        return None
    return points if points > 0 else None


def _named() -> str:
    return ", ".join(WINDOWS)
