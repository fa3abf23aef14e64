"""The ledger's figures for reconciliation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import make_request

from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.each_database


def test_the_longest_task_is_known_by_account_and_type(ledger, orders, clock):
    """Tasks of another account, and those that have not ended, say nothing."""
    lengths = {"seedance-2": (61.25, 3600, None), "seedance-2-fast": (10,)}
    number = 0
    for account, factor in (("mine", 1), ("another", 10)):
        for task_type, seconds_of in lengths.items():
            for seconds in seconds_of:
                number += 1
                request = make_request("x", task_type=task_type, duration=5).model_dump(mode="json")
                orders.place(f"p{number}", fingerprint=f"f{number}", request=request)
                [order] = ledger.claims.take("w", limit=1, max_in_flight=None)
                ledger.claims.mark_sent(order, account=account)
                order = ledger.queries.get(order.order_id)
                ended = None if seconds is None else clock() + timedelta(seconds=seconds * factor)
                task = {
                    "task_id": f"t{number}",
                    "vendor_created_at": clock(),
                    "vendor_ended_at": ended,
                }
                ledger.tasks.submitted(order, actor="w", due_at=clock(), task=task)
    assert {order.state for order in ledger.queries.find()} == {State.SUBMITTED}
    assert ledger.reconciliation.longest_tasks("mine") == {
        "seedance-2": timedelta(seconds=3601),
        "seedance-2-fast": timedelta(seconds=11),
    }
    assert ledger.reconciliation.longest_tasks("another")["seedance-2"] == timedelta(seconds=36001)
    assert ledger.reconciliation.longest_tasks("third") == {}
