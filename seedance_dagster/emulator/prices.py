"""The emulator's own price list, as the vendor's page of 2026-04 has it."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

TABLE = "goapi-2026-04"
POINTS_PER_USD = 10_000_000
POINTS_PER_SECOND = {
    "seedance-2": 1_000_000,
    "seedance-2-fast": 800_000,
    "seedance-2-preview": 1_500_000,
    "seedance-2-fast-preview": 800_000,
}


def price(task_type: str, *, output_s: int, input_s: Decimal = Decimal(0)) -> int:
    """Points for one task: unit price x (seconds of input video + seconds of output).

    Raises:
        KeyError: for a task type without a price.
    """
    points = POINTS_PER_SECOND[task_type] * (input_s + output_s)
    return int(points.to_integral_value(ROUND_HALF_UP))


def penalty(task_price: int, violation: int) -> int:
    """Points kept of a refused task that is the account's n-th violation of the UTC day, counted from 1."""
    percent = 1 if violation < 20 else 5 if violation <= 100 else 10  # noqa: PLR2004  # the vendor's own tiers
    return task_price * percent // 100
