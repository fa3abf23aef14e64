"""Slots at the vendor: a finished task occupies none, even while its video has no link."""

from __future__ import annotations

from datetime import timedelta

import pytest

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest

pytestmark = pytest.mark.each_database


def test_a_finished_task_without_a_link_occupies_no_slot(ledger, new_order, clock):
    """A completed task without a URL is still polled, and the next order gets its slot."""
    ledger.orders.place([new_order("cat"), new_order("dog")], OrderRequest(idempotency_key="c", run_id="r"))
    [cat] = ledger.claims.take("w", limit=5, max_in_flight=1)
    ledger.tasks.submitted(cat, actor="w", due_at=clock.now, task={"task_id": "t", "points_held": 0})
    assert ledger.claims.take("w", limit=5, max_in_flight=1) == []
    [leased] = ledger.tasks.lease_due("w", State.SUBMITTED, limit=5)
    later = clock.now + timedelta(seconds=9)
    ledger.tasks.polled(leased, due_at=later, task={"vendor_ended_at": clock.now})
    assert ledger.workload.actionable().in_flight == 0
    assert [order.partition for order in ledger.claims.take("w", limit=5, max_in_flight=1)] == ["dog"]
