"""Orders in any state, and traces of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder, Order, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.trace.chain import Trace, TracedPartition, read_trace
from seedance_dagster.trace.origin import find_origin

POINTS = 4_000_000
SECRET = "X-Amz-Signature=5ec2e7"
"""A signature in every URL of a test's order; it must never be shown."""
FOLDER = f"s3://videos/seedance/spots/cat/{'a' * 12}-a1"
"""The folder of the first stored order of a test."""


def new_order(partition: str = "cat", **fields: Any) -> NewOrder:
    """Return an order with one reference whose facts are known."""
    return NewOrder(
        **{
            "prompt_set": "spots",
            "partition": partition,
            "fingerprint": "a" * 64,
            "request": {
                "task_type": "seedance-2-fast",
                "prompt": "The cat in @image1 walks",
                "mode": "omni_reference",
                "duration": 5,
                "aspect_ratio": None,
                "image_urls": [f"https://me:pw@cdn.example.com/cat.png?{SECRET}"],
                "video_urls": [],
            },
            "estimated_points": POINTS,
            "price_table": "goapi-2026-04",
            "price_formula": "0.08 USD/s x (5 s output)",
            "tags": {"campaign": "spring", "source": f"https://cdn.example.com/x?{SECRET}"},
            "reference_facts": [
                {
                    "kind": "image",
                    "position": 1,
                    "url": "https://cdn.example.com/cat.png",
                    "media_type": "image/png",
                    "size_bytes": 1234,
                    "sha256": "ab" * 32,
                    "duration_s": None,
                }
            ],
        }
        | fields
    )


class Desk:
    """A source of orders that are advanced to any state."""

    def __init__(self, ledger: Ledger, clock: Any, prefix: str = "seedance") -> None:
        self.ledger, self.clock, self.prefix = ledger, clock, prefix

    def queued(
        self, partition: str = "cat", *, run: str = "run-1", idempotency_key: str = "", **fields: Any
    ) -> Order:
        request = OrderRequest(
            idempotency_key=idempotency_key or f"click at {self.clock()}",
            run_id=run,
            job_name="seedance_advance",
            run_tags={"owner": "ann"},
            regenerate=True,
            resubmit_rejected=True,
        )
        [(order, outcome)] = self.ledger.orders.place([new_order(partition, **fields)], request)
        assert outcome is Outcome.ORDERED, "one in flight was joined"
        self.clock.forward(seconds=1)
        return order

    def submitted(self, partition: str = "cat", **fields: Any) -> Order:
        order = self.queued(partition, **fields)
        self.ledger.leases.acquire("w", "w", seconds=60)
        [claimed] = self.ledger.claims.take("w", limit=1, max_in_flight=None, only=[order.order_id])
        self.clock.forward(seconds=1)
        task = {"task_id": f"t-{order.order_id}", "points_held": POINTS, "vendor_created_at": self.clock()}
        return self.ledger.tasks.submitted(claimed, actor="w", due_at=self.clock(), task=task)

    def ended(
        self,
        partition: str = "cat",
        state: State = State.REJECTED,
        *,
        charged: int = 50_000,
        again: bool = False,
        **fields: Any,
    ) -> Order:
        order = self.submitted(partition, **fields)
        self.clock.forward(seconds=60)
        over, _ = self.ledger.tasks.ended(
            order,
            state,
            actor="w",
            error_class="moderation",
            reason=f"no such picture as https://cdn.example.com/cat.png?{SECRET}",
            task={"points_charged": charged},
            retry_at=self.clock() if again else None,
        )
        return over

    def succeeded(self, partition: str = "cat", *, charged: int | None = POINTS, **fields: Any) -> Order:
        order = self.submitted(partition, **fields)
        self.clock.forward(seconds=60)
        task = {
            "points_charged": charged,
            "vendor_ended_at": self.clock(),
            "vendor_logs": [f"fetching https://cdn.example.com/cat.png?{SECRET}"],
            "video_url": f"https://storage.example.com/v.mp4?{SECRET}",
        }
        return self.ledger.tasks.succeeded(order, actor="w", task=task)

    def stored(
        self,
        partition: str = "cat",
        *,
        sha256: str = "",
        delivered: str = "",
        credential: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Order:
        order = self.succeeded(partition, **fields)
        keys = object_keys(self.prefix, order.prompt_set, partition, order.fingerprint, order.attempt)
        digest = sha256 or f"{order.order_id:064x}"
        artifacts = {
            **{f"{kind}_key": getattr(keys, kind) for kind in ("video", "poster", "manifest")},
            "size_bytes": 900,
            "poster_size_bytes": 30,
            "poster_sha256": "cc" * 32,
            "duration_s": 5.04,
            "width": 864,
            "height": 480,
            "codec": "h264",
            "fps": 24.0,
            "sha256": digest,
            "delivered_sha256": delivered or digest,
            "credential": credential,
        }
        done = self.ledger.tasks.stored(order, actor="w", artifacts=artifacts)
        self.ledger.reports.mark_reported({done.order_id: "stored"})
        return done


def trace(ledger, thing, *, bucket="videos", sizes=None) -> Trace:
    origin = find_origin(ledger, str(thing), bucket=bucket)
    return replace(read_trace(ledger, origin, bucket=bucket), sizes=sizes or {})


def one(found: Trace) -> TracedPartition:
    [partition] = found.partitions
    return partition


def orders(found: Trace) -> list[Order]:
    return [traced.order for traced in one(found).orders]
