"""Steps that several tests take."""

from __future__ import annotations

from seedance_dagster.ledger import Asking, Ledger, NewOrder, Order


def store_one(ledger: Ledger, new: NewOrder, *, charged: int = 4_000_000, **task: object) -> Order:
    """Bring one new order to its end in the ledger alone."""
    [(order, _)] = ledger.accept([new], Asking(cause=f"c{new}", run_id="r"))
    [claimed] = ledger.claim("w", limit=1, max_in_flight=None, only=[order.order_id])
    seen = {"task_id": f"task-{order.order_id}", "points_held": 0, **task}
    submitted = ledger.submitted(claimed, actor="w", due_at=order.accepted_at, task=seen)
    succeeded = ledger.succeeded(submitted, actor="w", task={"points_charged": charged})
    return ledger.stored(succeeded, actor="w", artifacts={"sha256": f"{order.order_id:064x}"})
