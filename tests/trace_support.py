"""Orders with everything that a trace shows or must hide, and traces of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from order_factory import OrderFactory

from seedance_dagster.engine.journals import JournalReader
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order
from seedance_dagster.trace.chain import Trace, TracedPartition, read_trace
from seedance_dagster.trace.origin import find_origin

SECRET = "X-Amz-Signature=5ec2e7"
"""A signature in every URL of a test's order; it must never be shown."""
FOLDER = f"s3://videos/seedance/spots/cat/{'a' * 12}-a1"
"""The folder of the first stored order of a test."""
_ORDER = {
    "fingerprint": lambda partition: ("a" if partition == "cat" else f"{partition[0]}0") * 64,
    "request": {
        "task_type": "seedance-2-fast",
        "prompt": "The cat in @image1 walks",
        "mode": "omni_reference",
        "duration": 5,
        "aspect_ratio": None,
        "image_urls": [f"https://me:pw@cdn.example.com/cat.png?{SECRET}"],
        "video_urls": [],
    },
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
    "run_id": "run-1",
    "job_name": "seedance_advance",
    "run_tags": {"owner": "ann"},
    "reason": f"no such picture as https://cdn.example.com/cat.png?{SECRET}",
    "outcome": {
        "vendor_logs": [f"fetching https://cdn.example.com/cat.png?{SECRET}"],
        "video_url": f"https://storage.example.com/v.mp4?{SECRET}",
    },
    "reported": True,
}


def traced_orders(ledger: Ledger, clock: Any) -> OrderFactory:
    """Return a factory of orders with one reference, whose clock moves on with each step."""
    return OrderFactory(ledger, clock, paced=True, **_ORDER)


def trace(ledger, thing, *, bucket="videos", sizes=None) -> Trace:
    origin = find_origin(ledger, str(thing), bucket=bucket)
    reader = JournalReader(ledger, lambda: pytest.fail("nothing is archived"))
    return replace(read_trace(ledger, reader, origin, bucket=bucket), sizes=sizes or {})


def one(result: Trace) -> TracedPartition:
    [partition] = result.partitions
    return partition


def orders_of(result: Trace) -> list[Order]:
    return [traced.order for traced in one(result).orders]
