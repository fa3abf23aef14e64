"""Orders in a ledger, accepted and submitted by hand."""

from __future__ import annotations

from seedance_dagster.ledger.orders import OrderRequest

ASKING = OrderRequest(idempotency_key="c", run_id="r")


def accept_orders(ledger, new_order, *partitions: str, **fields: object):
    """Accepts orders for some partitions and gives them back."""
    answers = ledger.orders.place([new_order(name, **fields) for name in partitions], ASKING)
    return [order for order, _ in answers]


def submit_orders(ledger, new_order, clock, *partitions: str, **fields: object):
    """Accepts, claims and submits orders for some partitions."""
    accept_orders(ledger, new_order, *partitions, **fields)
    claimed = ledger.claims.take("w", limit=len(partitions), max_in_flight=None)
    return [
        ledger.tasks.submitted(
            order,
            actor="w",
            due_at=clock(),
            task={"task_id": f"t-{order.partition}", "points_held": 4},
        )
        for order in claimed
    ]
