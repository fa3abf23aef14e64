"""Points, USD and the windows of budgets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.money import POINTS_PER_USD, Window, points_to_usd, usd_to_points, window_start


@pytest.mark.parametrize(
    ("usd", "points"),
    [
        (1, 10_000_000),
        (0.1, 1_000_000),
        ("0.4", 4_000_000),
        (Decimal("0.00000019"), 1),
        ("0.00000039999999999999999999999999999999999", 3),
        (-0.00000001, -1),
        (0, 0),
        ("1e-999999", 0),
        (10**11, 10**18),
    ],
)
def test_usd_becomes_exact_points(usd, points):
    """Numbers, decimals and strings all convert to exact points."""
    assert usd_to_points(usd) == points


@pytest.mark.parametrize(
    "usd", ["", "five", "1,5", "nan", "sNaN", "-inf", "1e999999", float("nan"), 10**12, True]
)
def test_an_invalid_amount_is_refused(usd):
    """An amount must be finite, and not larger than any account."""
    with pytest.raises(ValueError, match="is not an amount in USD"):
        usd_to_points(usd)


@given(st.decimals("-1e11", "1e11", allow_nan=False) | st.floats(-1e11, 1e11))
def test_points_never_exceed_their_usd(usd):
    """Turning a limit into points loses less than a point and never gains one."""
    exact = Decimal(str(usd))
    points = usd_to_points(usd)
    assert points_to_usd(points) <= exact
    assert points + 1 > exact * POINTS_PER_USD


@given(st.integers(-(10**18), 10**18))
def test_points_come_back_from_usd(points):
    """Points shown in USD are the same points again."""
    assert usd_to_points(points_to_usd(points)) == points


def test_windows_start_in_utc():
    """A day starts at midnight and a month on its first day; all time has no start."""
    now = datetime(2026, 4, 6, 18, 30, 5, 7, tzinfo=UTC)
    assert window_start(Window.DAY, now) == datetime(2026, 4, 6, tzinfo=UTC)
    assert window_start(Window.MONTH, now) == datetime(2026, 4, 1, tzinfo=UTC)
    assert window_start(Window.TOTAL, now) is None
