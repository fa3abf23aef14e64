"""A video store in memory, and orders for a set's index."""

from __future__ import annotations

import json
from collections.abc import Callable

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest

JSONL, PARQUET = "p/spots/index.jsonl", "p/spots/index.parquet"


class Bucket:
    """A video store in memory; `before_put` is called with each key before it is written."""

    bucket, prefix = "videos", "p"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0
        self.before_put: Callable[[str], None] = lambda _: None

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def head(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def put_bytes(self, key: str, body: bytes, **_: object) -> None:
        self.puts += 1
        self.before_put(key)
        self.objects[key] = body

    def listed(self) -> list[str]:
        """Partitions in the index, in its order."""
        return [json.loads(line)["partition"] for line in self.objects[JSONL].splitlines()]


def end_order(
    ledger,
    new_order,
    clock,
    partition: str = "cat",
    end: State | None = State.STORED,
    *,
    charged: int | None = 4,
    **fields,
):
    """Makes an order, and brings it to an end where one is named."""
    asking = OrderRequest(idempotency_key=f"c{clock()}", run_id="r", regenerate=True, resubmit_rejected=True)
    [(order, _)] = ledger.orders.place([new_order(partition, **fields)], asking)
    clock.forward(seconds=1)
    if end is None:
        return order
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None, only=[order.order_id])
    task = {"task_id": f"t{order.order_id}", "points_charged": charged}
    order = ledger.tasks.submitted(claimed, actor="w", due_at=clock(), task=task)
    if end is State.SUBMITTED:
        return order
    if end is not State.STORED:
        over, _ = ledger.tasks.ended(order, end, actor="w", error_class="x", reason="x", task=task)
        return over
    order = ledger.tasks.succeeded(order, actor="w", task=task)
    artifacts = {
        **{f"{kind}_key": f"p/spots/{partition}/{order.order_id}/{kind}" for kind in ("video", "poster")},
        **{"width": 64, "height": 36, "size_bytes": 9, "duration_s": 4, "codec": "h264", "fps": 24.0}
        | {"manifest_key": f"p/{order.order_id}/manifest", "sha256": f"{order.order_id:064x}"},
    }
    return ledger.tasks.stored(order, actor="w", artifacts=artifacts)
