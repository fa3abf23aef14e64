"""Prices, the account's money and its penalties, as on the vendor's page of 2026-04."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pydantic import BaseModel, Field

from seedance_dagster.emulator.vendor_settings import EmulatorSettings

PRICE_TABLE = "goapi-2026-04"
POINTS_PER_SECOND = {
    "seedance-2": 1_000_000,
    "seedance-2-fast": 800_000,
    "seedance-2-less-restriction": 1_100_000,
    "seedance-2-fast-less-restriction": 880_000,
    "seedance-2-preview": 1_500_000,
    "seedance-2-fast-preview": 800_000,
}
FEWER_RESTRICTIONS = "-less-restriction"
"""The end of task types whose references are copied first, and echoed as these copies."""

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


def price(task_type: str, *, output_s: int, input_s: Decimal = Decimal(0)) -> int:
    """Return the points for a task: unit price x (seconds of input video + seconds of output).

    Raises:
        KeyError: The task type has no price.
    """
    points = POINTS_PER_SECOND[task_type] * (input_s + output_s)
    return int(points.to_integral_value(ROUND_HALF_UP))


def penalty(task_price: int, violation: int) -> int:
    """Return the points kept of a rejected task, the n-th violation of the UTC day, counted from 1."""
    percent = 1 if violation < 20 else 5 if violation <= 100 else 10  # noqa: PLR2004  the vendor's tiers
    return task_price * percent // 100
