"""How commands show budgets to machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seedance_dagster.ledger.budgets import BudgetUsage
from seedance_dagster.money import points_to_usd


def budgets_as_json(standings: Sequence[BudgetUsage]) -> list[dict[str, Any]]:
    """Budgets with what is reserved, spent and left, in USD."""
    return [
        {
            "window": each.budget.window,
            "prompt_set": each.budget.prompt_set,
            "limit_usd": points_to_usd(each.budget.points),
            "reserved_usd": points_to_usd(each.reserved),
            "spent_usd": points_to_usd(each.spent),
            "left_usd": points_to_usd(each.remaining),
        }
        for each in standings
    ]
