"""Estimates against charges, by task type."""

from __future__ import annotations

import pytest
from audit_snapshots import POINTS, books, found, stored_order

from seedance_dagster.audit.money import estimates_off


def orders(*shares: float, first: int = 1, **fields):
    """Stored orders that were charged so many times their estimate."""
    return [
        stored_order(first + number, points_charged=round(share * POINTS), **fields)
        for number, share in enumerate(shares)
    ]


@pytest.mark.parametrize(
    ("shares", "count", "factor"),
    [
        ((1, 1, 1), None, 0),
        ((1.01, 1.02, 1.0), None, 0),
        ((1, 1, 5), None, 0),
        ((1.25, 1.25, 1), "2 of the newest 3", 1.25),
        ((0.6, 0.6), "2 of the newest 2", 0.6),
        ((1,) * 50 + (2,) * 30, "30 of the newest 50", 2),
        ((3,) * 24 + (1,) * 26, "24 of the newest 50", 3),
        ((1,) * 44 + (2,) * 6, "6 of the newest 50", 2),
        ((1,) * 45 + (2,) * 5, None, 0),
        ((2,) * 50 + (1,) * 50, None, 0),
    ],
)
def test_the_charges_of_the_newest_videos_decide(shares, count, factor):
    """A few odd charges are no sign of an old price table, and what was charged long ago is none either."""
    words = "videos were charged otherwise than estimated, typically"
    said = f"{count} {words} {factor:g} times as much"
    given = list(estimates_off(orders(*shares)))
    assert [each.what for each in given] == ([] if count is None else [said])


def test_a_type_is_one_finding_with_what_it_came_to():
    """However many videos are off, there is one finding a type, with the sum of the differences."""
    fast = orders(1.5, 1.5, 1.5)
    slow = orders(1, 1, first=10, request=stored_order(1).request | {"task_type": "seedance-2"})
    [each] = found(books([*fast, *slow]))
    assert (each.kind.value, each.cost_points) == ("estimate_off", 6_000_000)
    assert each.where == "price table goapi-2026-04, seedance-2-fast"


def test_upper_bounds_and_older_tables_do_not_count():
    """An estimate for input videos of unknown length was never meant to be met."""
    unknown = stored_order(1).request | {"video_urls": ["https://cdn.example.com/a.mp4"]}
    assert list(estimates_off(orders(0.4, 0.4, request=unknown))) == []
    old = orders(2, 2, price_table="goapi-2025-01")
    assert list(estimates_off([*old, *orders(1, first=10)])) == []
