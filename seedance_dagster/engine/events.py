"""The engine's events: plain facts that only `defs/` and `cli/` put into words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.orders import Outcome


@dataclass(frozen=True)
class Placed:
    """The answer to the request for one partition.

    Attributes:
        partition: The partition's key.
        order: The order that now answers it; for SKIPPED the earlier one that ended without a video.
        outcome: ORDERED a new order, JOINED an open one, REUSED a stored video, SKIPPED what was rejected
            or failed before.
    """

    partition: str
    order: Order
    outcome: Outcome


@dataclass(frozen=True)
class Submitted:
    """The vendor gave the order a task id and holds the points."""

    order: Order


@dataclass(frozen=True)
class Stored:
    """Video, poster and manifest are in S3, and the ledger records them."""

    order: Order
    thumbnail_jpeg: bytes | None


@dataclass(frozen=True)
class Ended:
    """The order ended without a video: rejected, or failed with no attempt left."""

    order: Order


@dataclass(frozen=True)
class Delayed:
    """Nothing ended, but a person should know: a transfer failed, a reply was lost, a POST was refused."""

    order: Order | None
    reason: str

    def __str__(self) -> str:
        order = self.order
        if order is None or self.reason.startswith(f"{order.partition}: "):
            return self.reason
        return f"{order.prompt_set}/{order.partition}: {self.reason}"


@dataclass(frozen=True)
class Waiting:
    """The run still waits; emitted regularly, with the reason."""

    reason: str


Event = Placed | Submitted | Stored | Ended | Delayed | Waiting
Emit = Callable[[Event], Awaitable[None]]
"""Takes an event; returns when the next one may come."""
