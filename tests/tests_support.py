"""Steps that several tests take."""

from __future__ import annotations

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder, Order
from seedance_dagster.ledger.orders import OrderRequest


def store_one(ledger: Ledger, new: NewOrder, *, charged: int = 4_000_000, **task: object) -> Order:
    """Bring one new order to its end in the ledger alone."""
    [(order, _)] = ledger.orders.place([new], OrderRequest(idempotency_key=f"c{new}", run_id="r"))
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None, only=[order.order_id])
    seen = {"task_id": f"task-{order.order_id}", "points_held": 0, **task}
    submitted = ledger.tasks.submitted(claimed, actor="w", due_at=order.ordered_at, task=seen)
    succeeded = ledger.tasks.succeeded(submitted, actor="w", task={"points_charged": charged})
    return ledger.tasks.stored(succeeded, actor="w", artifacts={"sha256": f"{order.order_id:064x}"})
