"""What the engine tells its caller: plain facts, which only `defs/` and `cli/` put into words."""

from __future__ import annotations

from dataclasses import dataclass

from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.orders import Outcome


@dataclass(frozen=True)
class Placed:
    """The answer to asking for one partition.

    Attributes:
        order: The order that now stands for the partition (for DECLINED the earlier rejected one).
        outcome: ACCEPTED a new order, JOINED one in flight, REUSED a stored video,
            DECLINED because the same request was refused before.
    """

    order: Order
    outcome: Outcome


@dataclass(frozen=True)
class Submitted:
    """The vendor gave the order a task id and holds the points."""

    order: Order


@dataclass(frozen=True)
class Stored:
    """Video, poster and manifest are in S3 and the ledger knows it."""

    order: Order
    thumbnail_jpeg: bytes | None


@dataclass(frozen=True)
class Ended:
    """The order ended without a video: rejected, or failed with no attempt left."""

    order: Order


@dataclass(frozen=True)
class Delayed:
    """Nothing ended, but somebody should know: a transfer failed, a reply was lost, a POST was refused."""

    order: Order | None
    reason: str


Event = Placed | Submitted | Stored | Ended | Delayed

__all__ = ["Delayed", "Ended", "Event", "Outcome", "Placed", "Stored", "Submitted"]
