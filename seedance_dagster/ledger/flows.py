"""Sums over all orders that the engine decides by: refusals of a day, money on its way, what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerBase
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.schema import orders


@dataclass(frozen=True)
class Flow:
    """The account's money as this ledger knows it, at one moment.

    Attributes:
        outflow: Points held and charged for all known tasks.
        claimed: Orders whose POST is on its way; the vendor may hold points for them already.
        uncertain: Orders whose POST had no clear answer; likewise.
        at_work: Known tasks that were not seen to have ended; some may be over, and their points back.
        last_claim: When an order was last claimed (UTC).
    """

    outflow: int
    claimed: int
    uncertain: int
    at_work: int
    last_claim: datetime | None


@dataclass(frozen=True)
class Refusals:
    """How many orders were refused for their content since a time."""

    since: datetime
    count: int


def count_refusals(connection: sa.Connection, start: datetime) -> int:
    """The number of them in the caller's transaction."""
    when = sa.func.coalesce(orders.c.vendor_ended_at, orders.c.accepted_at)
    refused = sa.select(sa.func.count()).where(orders.c.state == State.REJECTED, when >= start)
    return int(connection.scalar(refused) or 0)


class Flows(LedgerBase):
    """The part of the ledger that sums up."""

    def flow(self) -> Flow:
        """Money on its way."""
        # Once the vendor has charged for a task it holds nothing for it any more.
        charged = sa.func.coalesce(orders.c.points_charged, 0)
        held = sa.and_(orders.c.state == State.SUBMITTED, charged == 0)
        untold = sa.and_(orders.c.task_id.is_not(None), orders.c.points_charged.is_(None))
        taken = sa.case((held | untold, sa.func.coalesce(orders.c.points_held, 0)), else_=charged)
        query = sa.select(
            sa.func.coalesce(sa.func.sum(taken), 0),
            sa.func.count().filter(orders.c.state == State.CLAIMED),
            sa.func.count().filter(orders.c.state == State.UNCERTAIN),
            sa.func.count().filter(orders.c.state == State.SUBMITTED, orders.c.vendor_ended_at.is_(None)),
            sa.func.max(orders.c.claimed_at),
        )
        with self._database.reading() as connection:
            outflow, claimed, uncertain, at_work, last_claim = connection.execute(query).one()
        return Flow(int(outflow), int(claimed), int(uncertain), int(at_work), last_claim)

    def refusals_since(self, start: datetime) -> Refusals:
        """How many orders were refused for their content since a time."""
        with self._database.reading() as connection:
            return Refusals(start, count_refusals(connection, start))

    def cheapest_queued(self) -> int | None:
        """The smallest estimate of what is queued, in points; None when nothing is."""
        query = sa.select(sa.func.min(orders.c.estimated_points)).where(orders.c.state == State.QUEUED)
        with self._database.reading() as connection:
            found: int | None = connection.scalar(query)
        return found
