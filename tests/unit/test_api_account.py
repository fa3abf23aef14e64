"""The account in both of its shapes, and in their mixtures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.account import AccountInfo

USD = 10_000_000


@pytest.mark.parametrize(
    ("data", "points", "source"),
    [
        ({"equivalent_in_usd": 12.5}, 125_000_000, "equivalent_in_usd"),
        ({"equivalent_in_usd": "$1,234.56"}, 12_345_600_000, "equivalent_in_usd"),
        ({"quota": {"equivalent_in_usd": "20"}}, 20 * USD, "quota.equivalent_in_usd"),
        ({"wallet": {"point_remain": 9}}, 9, "wallet.point_remain"),
        ({"credit_pack_info": {"available_credits": "77"}}, 1_540_000, "credit_pack_info.available_credits"),
        (
            {"wallet": {"point_remain": "0.0"}, "credit_pack_info": {"available_credits": "10,000"}},
            20 * USD,
            "credit_pack_info.available_credits",
        ),
        (
            {
                "wallet": {"point_remain": 0},
                "credit_pack_info": [{"available_credits": 6000}, {"available_credits": 4000}],
            },
            20 * USD,
            "credit_pack_info.available_credits",
        ),
        ({"wallet": {"point_remain": 0}, "credit_pack_info": {"credits_left": 10_000}}, None, None),
        ({"wallet": {"point_remain": 0}, "credit_pack_info": []}, 0, "wallet.point_remain"),
        # A live account with a pack of credits: 500 are a dollar.
        (
            {
                "plan": "creator",
                "equivalent_in_usd": 20.0,
                "credit_pack_info": {"available_credits": 10_000},
            },
            20 * USD,
            "equivalent_in_usd",
        ),
        (
            {
                "equivalent_in_usd": 20.0,
                "wallet": {"point_remain": 0},
                "credit_pack_info": {"available_credits": 10_000},
            },
            20 * USD,
            "equivalent_in_usd",
        ),
        # The vendor rounds dollars; points are exact.
        ({"equivalent_in_usd": 0.4, "wallet": {"point_remain": 3_999_990}}, 3_999_990, "wallet.point_remain"),
        ({"wallet": {"point_remain": 0}}, 0, "wallet.point_remain"),
        ({"equivalent_in_usd": "a lot", "wallet": [], "credit_pack_info": None}, None, None),
        ({"equivalent_in_usd": -3, "wallet": {"point_remain": True}}, None, None),
        # Words around a number; a comma of which nobody knows what it separates.
        ({"equivalent_in_usd": "$20.00 (free)"}, 20 * USD, "equivalent_in_usd"),
        ({"equivalent_in_usd": "USD 1 234.5"}, 12_345_000_000, "equivalent_in_usd"),
        ({"equivalent_in_usd": "20,50"}, None, None),
        ({"equivalent_in_usd": "1.234,56"}, None, None),
        ({"equivalent_in_usd": "N/A"}, None, None),
        (
            {"credit_pack_info": {"available_credits": "10,000 credits"}},
            20 * USD,
            "credit_pack_info.available_credits",
        ),
        ({"wallet": [{"point_remain": 5}, {"point_remain": "7"}]}, 12, "wallet.point_remain"),
        ({"wallet": [{"point_remain": 5}, {"name": "other"}]}, None, None),
        (None, None, None),
    ],
)
def test_the_balance_is_the_largest_that_is_reported(data, points, source):
    """The largest reported balance counts, such as a credit pack beside an empty wallet, with its field."""
    account = AccountInfo.parse(data)
    assert (account.points_remaining, account.balance_source) == (points, source)


@pytest.mark.parametrize(
    ("data", "plan", "limit"),
    [
        ({"plan": "pro", "max_concurrent_task_count": 20}, "pro", 20),
        ({"plan": 4, "max_concurrent_task_count": 0}, "4", None),
        ({"plan": "", "max_concurrent_task_count": -2}, None, None),
        ({"plan": {"name": "pro"}, "max_concurrent_task_count": "7"}, None, 7),
    ],
)
def test_plan_and_limit_are_read(data, plan, limit):
    """Whatever is not a plan's name or a positive number counts as not reported."""
    account = AccountInfo.parse(data)
    assert (account.plan, account.max_concurrent_tasks) == (plan, limit)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    st.lists,
    max_leaves=3,
)
FIELDS = st.sampled_from(["plan", "equivalent_in_usd", "quota", "wallet", "credit_pack_info"])


@given(st.dictionaries(FIELDS, VALUES | st.dictionaries(st.text(), VALUES, max_size=2)))
def test_any_account_is_read_or_ignored(data):
    """No value raises, and no balance is negative or beyond what a database holds."""
    points = AccountInfo.parse(data).points_remaining
    assert points is None or 0 <= points <= 10**15
