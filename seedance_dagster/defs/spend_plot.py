"""A plot of what a set was charged by day, as a picture that stands in Dagster's metadata."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta

from seedance_dagster.api.prices import points_to_usd
from seedance_dagster.ledger.dataset import DaySpend

_DAYS = 60  # as many as can be told apart
_WIDTH, _TOP, _BOTTOM, _HEIGHT = 640, 24, 154, 176  # pixels; bars stand between top and bottom
_BAR_WIDTH = 40  # at most: a single day is no wall
# Each is in the middle between black and white: Dagster's theme is not told to a picture.
_TEXT, _BARS = "#757b85", "#4a86e8"


def spend_plot(spend: Sequence[DaySpend]) -> str | None:
    """The newest days in Markdown; None where nothing was charged.

    Args:
        spend: What was charged by day, in the order of the days.
    """
    svg = spend_svg(spend)
    if svg is None:
        return None
    return f"![USD by UTC day](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"


def spend_svg(spend: Sequence[DaySpend]) -> str | None:
    """Bars of USD by UTC day as SVG: the newest 60 days up to the last charge; None without any.

    Args:
        spend: What was charged by day, in the order of the days.
    """
    charged = [each for each in spend if each.points > 0]
    if not charged:
        return None
    last = charged[-1].day
    charged = [each for each in charged if each.day > last - timedelta(days=_DAYS)]
    first = charged[0].day
    most = max(each.points for each in charged)
    # A day without charges has its place too: equal distances are equal times.
    place = _WIDTH / ((last - first).days + 1)
    width = min(_BAR_WIDTH, place * 0.8)
    lefts = [((each.day - first).days + 0.5) * place - width / 2 for each in charged]
    bars = "".join(
        _bar(left, width, each.points / most) for left, each in zip(lefts, charged, strict=True)
    )
    labels = [_label(lefts[0], _HEIGHT - 6, "start", f"{first}")]
    if last != first:
        labels.append(_label(lefts[-1] + width, _HEIGHT - 6, "end", f"{last}"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12" fill="{_TEXT}">'
        f'<path d="M0 {_TOP}.5h{_WIDTH}" stroke="{_TEXT}" stroke-dasharray="2 4"/>'
        f'<path d="{bars}" fill="{_BARS}"/>'
        f'<path d="M0 {_BOTTOM}.5h{_WIDTH}" stroke="{_TEXT}"/>'
        f"{_label(0, _TOP - 8, 'start', _in_usd(most))}{''.join(labels)}</svg>"
    )


def _bar(left: float, width: float, share: float) -> str:
    height = max(1, (_BOTTOM - _TOP) * share)  # the least charge is seen
    return f"M{left:.1f} {_BOTTOM}h{width:.1f}v-{height:.1f}h-{width:.1f}z"


def _label(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>'


def _in_usd(points: int) -> str:
    """To the cent, unless that would hide a small amount."""
    usd = points_to_usd(points)
    return f"{usd:,.2f} USD" if usd >= 1 else f"{usd.normalize():f} USD"
