"""Charges against estimates, by task type."""

from __future__ import annotations

import pytest
from audit_snapshots import POINTS, findings, make_snapshots, stored_order

from seedance_dagster.audit.vendor import outdated_prices


def orders(*shares: float, first: int = 1, **fields):
    """Return stored orders that were charged these multiples of their estimate."""
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
        ((1,) * 50 + (2,) * 12, "12 of the newest 20", 2),
        ((3,) * 9 + (1,) * 11, "9 of the newest 20", 3),
        ((1,) * 17 + (2,) * 3, "3 of the newest 20", 2),
        ((1,) * 18 + (2,) * 2, None, 0),
        ((2,) * 20 + (1,) * 20, None, 0),
    ],
)
def test_the_charges_of_the_newest_videos_decide(shares, count, factor):
    """Neither a few odd charges nor old ones are a sign of an outdated price table."""
    words = "videos did not cost what was estimated, typically"
    message = f"{count} {words} {factor:g} times as much"
    result = list(outdated_prices(orders(*shares)))
    assert [finding.message for finding in result] == ([] if count is None else [message])


def test_a_resolution_has_a_price_of_its_own():
    """Charges at one resolution do not count for another; an unnamed resolution counts as the default."""
    dear = stored_order(1).request | {"resolution": "720p"}
    same = stored_order(1).request | {"resolution": "480p"}
    mixed = [*orders(2, 2, request=dear), *orders(1, 1, first=10), *orders(1, 1, first=20, request=same)]
    [finding] = outdated_prices(mixed)
    assert finding.location == "price table goapi-2026-04, seedance-2-fast at 720p"
    assert finding.message.startswith("2 of the newest 2 videos")


def test_a_task_type_is_one_finding_with_the_sum():
    """However many videos are off, each task type has one finding, with the sum of the differences."""
    fast = orders(1.5, 1.5, 1.5)
    slow = orders(1, 1, first=10, request=stored_order(1).request | {"task_type": "seedance-2"})
    [finding] = findings(make_snapshots([*fast, *slow]))
    assert (finding.kind.value, finding.cost_points) == ("estimate_off", 6_000_000)
    assert finding.location == "price table goapi-2026-04, seedance-2-fast at 480p"


def test_upper_bounds_and_older_price_tables_do_not_count():
    """An estimate for input videos of unknown length is an upper bound and does not count."""
    unknown = stored_order(1).request | {"video_urls": ["https://cdn.example.com/a.mp4"]}
    assert list(outdated_prices(orders(0.4, 0.4, request=unknown))) == []
    old = orders(2, 2, price_table="goapi-2025-01")
    assert list(outdated_prices([*old, *orders(1, first=10)])) == []
