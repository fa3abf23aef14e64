"""Places at the vendor: what is over there takes none, even when its video cannot be had yet."""

from __future__ import annotations

from datetime import timedelta

import pytest

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest

pytestmark = pytest.mark.each_database


def test_a_finished_task_without_a_link_takes_no_place(ledger, new_order, clock):
    """A task that is completed and gives no URL is polled on, and the next order gets its place."""
    ledger.orders.place([new_order("cat"), new_order("dog")], OrderRequest(idempotency_key="c", run_id="r"))
    [cat] = ledger.claims.take("w", limit=5, max_in_flight=1)
    ledger.tasks.submitted(cat, actor="w", due_at=clock.now, task={"task_id": "t", "points_held": 0})
    assert ledger.claims.take("w", limit=5, max_in_flight=1) == []
    [leased] = ledger.tasks.lease_due("w", State.SUBMITTED, limit=5)
    later = clock.now + timedelta(seconds=9)
    ledger.tasks.polled(leased, due_at=later, seen={"vendor_ended_at": clock.now})
    assert ledger.workload.actionable().in_flight == 0
    assert [order.partition for order in ledger.claims.take("w", limit=5, max_in_flight=1)] == ["dog"]
