"""Places at the vendor: what is over there takes none, even when its video cannot be had yet."""

from __future__ import annotations

from datetime import timedelta

from seedance_dagster.ledger import Asking, State


def test_a_finished_task_without_a_link_takes_no_place(ledger, new_order, clock):
    """A task that is completed and gives no URL is polled on, and the next order gets its place."""
    ledger.accept([new_order("cat"), new_order("dog")], Asking(cause="c", run_id="r"))
    [cat] = ledger.claim("w", limit=5, max_in_flight=1)
    ledger.submitted(cat, actor="w", due_at=clock.now, task={"task_id": "t", "points_held": 0})
    assert ledger.claim("w", limit=5, max_in_flight=1) == []
    [leased] = ledger.lease_due("w", State.SUBMITTED, limit=5)
    later = clock.now + timedelta(seconds=9)
    ledger.polled(leased, due_at=later, seen={"vendor_ended_at": clock.now})
    assert ledger.actionable().at_vendor == 0
    assert [order.partition for order in ledger.claim("w", limit=5, max_in_flight=1)] == ["dog"]
