"""The account's money and its penalties."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from seedance_dagster.emulator.vendor_settings import EmulatorSettings

_POINTS_PER_USD = 10_000_000
_POINTS_PER_CREDIT = 20_000


class Account(BaseModel):
    """The points granted and left, and the violations of each UTC day."""

    granted: int
    points: int
    violations: dict[str, int] = Field(default_factory=dict)

    def grant(self, points: int) -> None:
        """Set the points left, as if the difference had been bought or returned."""
        self.granted += points - self.points
        self.points = points

    def penalize(self, task_price: int, when: datetime) -> int:
        """Count a violation and return the points that it costs."""
        day = when.date().isoformat()
        self.violations[day] = self.violations.get(day, 0) + 1
        return penalty(task_price, self.violations[day])


def account_info(account: Account, settings: EmulatorSettings) -> dict[str, Any]:
    """Return the `data` of GET /account/info, in the shape that the settings choose."""
    info: dict[str, Any] = {
        "plan": settings.plan,
        "equivalent_in_usd": round(account.points / _POINTS_PER_USD, 6),
    }
    pack = {"credit_pack_info": {"available_credits": account.points // _POINTS_PER_CREDIT}}
    limit = {"max_concurrent_task_count": settings.plan_limit}
    match settings.account_shape:
        case "wallet":
            return {**info, **limit, "wallet": {"point_remain": account.points}}
        case "credit_pack":
            return {**info, **pack}
        case "both":
            # A wallet of 0 beside a full pack is usual.
            echo = {
                "api_key": settings.api_key.get_secret_value(),
                "notification_url": "https://me.example/x",
            }
            return {**info, **limit, **pack, **echo, "wallet": {"point_remain": 0}}
        case "quota":
            usd = f"${account.points / _POINTS_PER_USD:,.2f}"
            return {"plan": settings.plan, **limit, "quota": {"equivalent_in_usd": usd}}


def penalty(task_price: int, violation: int) -> int:
    """Return the points that the vendor keeps of a rejected task: the n-th violation of a UTC day, from 1."""
    percent = 1 if violation < 20 else 5 if violation <= 100 else 10  # noqa: PLR2004  the vendor's tiers
    return task_price * percent // 100
