"""Variants with videos, for blind comparisons."""

from __future__ import annotations

from typing import Any

from factories import REQUEST
from order_factory import OrderFactory

from seedance_dagster.ledger.comparison import Question
from seedance_dagster.ledger.order import Order, State

RESOLUTIONS = Question("resolution", "480p", "720p")
STYLES = Question("style", "noir", "calm")


def make_variant(
    orders: OrderFactory, prompt: str, resolution: str = "480p", style: str = "noir", **fields: Any
) -> Order:
    """Store a video of a variant from a matrix of resolutions and styles."""
    request = REQUEST | {"prompt": f"{prompt}, {style} style", "resolution": resolution}
    take = fields.get("take", 1)
    partition = f"{prompt}-{resolution}-{style}" + ("" if take == 1 else f".t{take}")
    tags = {"template": prompt, "style": style} | fields.pop("tags", {})
    fingerprint = partition.partition(".t")[0]
    return orders.make(State.STORED, partition, request=request, tags=tags, fingerprint=fingerprint, **fields)
