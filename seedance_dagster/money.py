"""Money: the vendor's points, USD, and the windows of time that budgets are for."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from enum import StrEnum
from math import floor

POINTS_PER_USD = 10_000_000
"""The vendor's unit: 5 s of seedance-2-fast at 0.08 USD hold 4,000,000 points (its page, 2026-04)."""

_CENT = Decimal("0.01")
_MAX_USD = 10**11  # its points still fit into 64 bits
_DOWN = Context(prec=60, rounding=ROUND_FLOOR)  # Decimal's usual 28 digits would round up


class Window(StrEnum):
    """A UTC day, a UTC month, or all time."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


WINDOWS = tuple(window.value for window in Window)


def points_to_usd(points: int) -> Decimal:
    """Convert points to exact USD.

    Example:
        >>> points_to_usd(4_000_000)
        Decimal('0.4')
    """
    return Decimal(points) / POINTS_PER_USD


def usd_text(points: int) -> str:
    """Format points as USD for people.

    Example:
        >>> usd_text(4_000_000), usd_text(3_175_000)
        ('0.40 USD', '0.3175 USD')
    """
    return f"{format_usd(points_to_usd(points))} USD"


def format_usd(amount: Decimal) -> str:
    """Format an amount in USD, to the cent unless that would hide a part of it."""
    cents = amount.quantize(_CENT)
    return f"{cents if cents == amount else amount.normalize():f}"


def usd_to_points(usd: Decimal | float | str) -> int:
    """Convert USD to points; fractions of a point are rounded down, so that a limit never grows.

    Raises:
        ValueError: The amount is not a number, or larger than any account.
    """
    try:
        amount = Decimal(str(usd))
    except (InvalidOperation, ValueError):
        amount = Decimal("NaN")
    if not amount.is_finite() or abs(amount) > _MAX_USD:
        msg = f"{str(usd)[:40]!r} is not an amount in USD"
        raise ValueError(msg)
    return floor(_DOWN.multiply(amount, Decimal(POINTS_PER_USD)))


def window_start(window: Window, now: datetime) -> datetime | None:
    """Return the time since which money counts in a window; None for all time."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return {Window.DAY: midnight, Window.MONTH: midnight.replace(day=1), Window.TOTAL: None}[window]
