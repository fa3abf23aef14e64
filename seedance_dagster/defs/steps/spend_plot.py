"""A bar chart of a set's spend by day, small enough for an event."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta

from seedance_dagster.counting import counted
from seedance_dagster.ledger.set_spend import DaySpend
from seedance_dagster.money import points_to_usd

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 640, 180, 20, 20
_DAYS = 60
# Both are legible on white and on black.
_BAR, _TEXT = "#7c6ee6", "#8a8a8a"


def spend_plot(spend: Sequence[DaySpend]) -> str | None:
    """Return a chart of the 60 days up to the last charge, as an SVG image in Markdown.

    Args:
        spend: Charges by UTC day, the oldest first.

    Returns:
        The Markdown; None when nothing was charged.
    """
    if not spend:
        return None
    svg = base64.b64encode(_svg(spend).encode()).decode()
    return f"![USD by day](data:image/svg+xml;base64,{svg})"


def _svg(spend: Sequence[DaySpend]) -> str:
    last = spend[-1].day
    first = max(spend[0].day, last - timedelta(days=_DAYS - 1))
    days = [day for day in spend if day.day >= first]
    most = max(day.points for day in days)
    step = _WIDTH / ((last - first).days + 1)
    height = _HEIGHT - _TOP - _BOTTOM
    bars = "".join(
        f'<rect x="{(day.day - first).days * step + step * 0.1:.1f}" '
        f'y="{_TOP + height * (1 - day.points / most):.1f}" '
        f'width="{min(step * 0.8, 60):.1f}" height="{height * day.points / most:.1f}" fill="{_BAR}">'
        f"<title>{day.day}: {points_to_usd(day.points):.2f} USD, "
        f"{counted(day.orders, 'order')}</title></rect>"
        for day in days
    )
    span = f"{first}" if first == last else f"{first} to {last}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="{_TEXT}">'
        f'<text x="0" y="12">highest day: {points_to_usd(most):.2f} USD</text>{bars}'
        f'<text x="0" y="{_HEIGHT - 5}">{span} (UTC)</text></svg>'
    )
