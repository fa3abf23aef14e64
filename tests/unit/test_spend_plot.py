"""The chart of a set's spend in the index's metadata."""

from __future__ import annotations

import base64
from datetime import date, timedelta
from xml.etree import ElementTree as ET

from seedance_dagster.defs.steps.spend_plot import spend_plot
from seedance_dagster.ledger.set_spend import DaySpend

SVG = "{http://www.w3.org/2000/svg}"
DAY = date(2026, 4, 6)


def draw(*spend: DaySpend) -> tuple[list[ET.Element], list[str]]:
    """Return the bars of the chart and its texts."""
    markdown = spend_plot(spend)
    assert markdown is not None
    head, _, rest = markdown.partition(";base64,")
    assert head == "![USD by day](data:image/svg+xml"
    root = ET.fromstring(base64.b64decode(rest.removesuffix(")")))
    return root.findall(f"{SVG}rect"), [text.text or "" for text in root.findall(f"{SVG}text")]


def test_each_day_is_a_bar_as_high_as_its_cost():
    """Half the cost is half the height, and days without any cost leave a gap."""
    bars, texts = draw(DaySpend(DAY, 2, 8_000_000), DaySpend(DAY + timedelta(days=2), 1, 4_000_000))
    tall, small = (float(bar.get("height", 0)) for bar in bars)
    assert tall == 2 * small
    assert float(bars[1].get("x", 0)) > 2 * float(bars[0].get("width", 0))
    assert texts == ["highest day: 0.80 USD", "2026-04-06 to 2026-04-08 (UTC)"]


def test_only_the_newest_days_are_drawn():
    """The chart of a set that is years old stays legible and small."""
    spend = [DaySpend(DAY + timedelta(days=number), 1, 1_000_000) for number in range(1000)]
    bars, texts = draw(*spend)
    assert len(bars) == 60
    assert texts[-1].endswith("to 2028-12-30 (UTC)")
    assert len(spend_plot(spend) or "") < 20_000


def test_one_day_is_one_bar():
    """The first day of a set is not a bar across the whole chart."""
    bars, texts = draw(DaySpend(DAY, 1, 1))
    assert float(bars[0].get("width", 0)) <= 60
    assert texts[-1] == "2026-04-06 (UTC)"


def test_without_charges_there_is_no_chart():
    """A set whose orders were all free has no chart."""
    assert spend_plot([]) is None
