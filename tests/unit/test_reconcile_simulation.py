"""Random histories of lost replies, on an account that others use, with a vendor that is odd in many ways."""

from __future__ import annotations

import pytest
from simulated_history import run_histories


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.long) for first in range(6, 60, 6))]
)
def test_nothing_is_paid_for_twice_and_no_task_of_others_is_adopted(first):
    """Whatever the clocks, echoes, pages, refunds and other programs do; what stays uncertain is counted."""
    tally, violations = run_histories(range(first, first + 6))
    assert violations == []
    assert tally["uncertain"] >= tally["adopted"] + tally["requeued"] + tally["still uncertain"] > 0
