"""A bar chart of a set's spend by day, small enough to stand in an event."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta

from seedance_dagster.ledger.spend import DaySpend
from seedance_dagster.money import points_to_usd

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 640, 180, 20, 20
_DAYS = 60
# Both are read on white and on black.
_BAR, _TEXT = "#7c6ee6", "#8a8a8a"


def spend_plot(spend: Sequence[DaySpend]) -> str | None:
    """The newest 60 days up to the last charge as an SVG image in Markdown, which Dagster's UI shows.

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
    shown = [each for each in spend if each.day >= first]
    most = max(each.points for each in shown)
    step = _WIDTH / ((last - first).days + 1)
    room = _HEIGHT - _TOP - _BOTTOM
    bars = "".join(
        f'<rect x="{(each.day - first).days * step + step * 0.1:.1f}" '
        f'y="{_TOP + room * (1 - each.points / most):.1f}" '
        f'width="{min(step * 0.8, 60):.1f}" height="{room * each.points / most:.1f}" fill="{_BAR}">'
        f"<title>{each.day}: {points_to_usd(each.points):.2f} USD, {each.orders} orders</title></rect>"
        for each in shown
    )
    days = f"{first}" if first == last else f"{first} to {last}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="{_TEXT}">'
        f'<text x="0" y="12">most on a day: {points_to_usd(most):.2f} USD</text>{bars}'
        f'<text x="0" y="{_HEIGHT - 5}">{days} (UTC)</text></svg>'
    )
