"""The earlier order that answers a request."""

from __future__ import annotations

import dataclasses

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest, Outcome, find_existing_order

REQUEST = OrderRequest(idempotency_key="backfill-1", run_id="run-1")


def test_the_newest_open_order_is_joined_first(ledger, new_order):
    """With several attempts the open one answers, not the stored one."""
    [(first, _)] = ledger.orders.place([new_order()], REQUEST)
    newer = dataclasses.replace(first, order_id=2, attempt=2)
    stored = dataclasses.replace(first, state=State.STORED)
    assert find_existing_order([stored, newer], REQUEST) == (newer, Outcome.JOINED)
