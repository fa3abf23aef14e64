"""Estimates against charges, by task type."""

from __future__ import annotations

import pytest
from audit_books import POINTS, books, found, stored_order

from seedance_dagster.audit.money import estimates_off


def orders(*shares: float, first: int = 1, **fields):
    """Stored orders that were charged so many times their estimate."""
    return [
        stored_order(first + number, points_charged=round(share * POINTS), **fields)
        for number, share in enumerate(shares)
    ]


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((1, 1, 1), None),
        ((1.01, 1.02, 1.0), None),
        ((1, 1, 5), None),
        ((1.25, 1.25, 1), "charges are 1.25 times the estimates, over the newest 3 videos"),
        ((0.6, 0.6), "charges are 0.6 times the estimates, over the newest 2 videos"),
        ((1,) * 50 + (2,) * 30, "charges are 2 times the estimates, over the newest 50 videos"),
        ((2,) * 50 + (1,) * 30, None),
    ],
)
def test_the_typical_charge_of_the_newest_videos_decides(shares, said):
    """One odd charge is no sign of an old price table, and what was charged long ago is none either."""
    given = list(estimates_off(orders(*shares)))
    assert [each.what for each in given] == ([] if said is None else [said])


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
