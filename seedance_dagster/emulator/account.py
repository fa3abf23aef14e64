"""The account's money and its violations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from seedance_dagster.emulator.prices import POINTS_PER_USD, penalty
from seedance_dagster.emulator.settings import EmulatorSettings


class Account(BaseModel):
    """What is left of the points granted, and the violations of each UTC day."""

    granted: int
    points: int
    violations: dict[str, int] = Field(default_factory=dict)

    def grant(self, points: int) -> None:
        """Set what is left, as if the difference had been bought or taken back."""
        self.granted += points - self.points
        self.points = points

    def punish(self, task_price: int, when: datetime) -> int:
        """Count a violation and return the points it costs."""
        day = when.date().isoformat()
        self.violations[day] = self.violations.get(day, 0) + 1
        return penalty(task_price, self.violations[day])


def account_info(account: Account, settings: EmulatorSettings) -> dict[str, Any]:
    """The `data` of GET /account/info, in the shape that is set."""
    info: dict[str, Any] = {
        "plan": settings.plan,
        "equivalent_in_usd": round(account.points / POINTS_PER_USD, 6),
    }
    if settings.account_shape == "credit_pack":
        return {**info, "credit_pack_info": {"available_credits": account.points}}
    return {
        **info,
        "max_concurrent_task_count": settings.plan_limit,
        "wallet": {"point_remain": account.points},
    }
