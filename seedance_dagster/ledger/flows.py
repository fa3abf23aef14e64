"""Sums over all orders that the engine decides by: refusals of a day, money on its way, what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerBase
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.schema import orders

_IN_DOUBT = (State.CLAIMED, State.UNCERTAIN)


@dataclass(frozen=True)
class Flow:
    """The account's money as this ledger knows it, at one moment.

    Attributes:
        outflow: Points held and charged for all known tasks.
        in_doubt: Orders that may have a task nobody knows yet.
        last_claim: When an order was last claimed (UTC).
    """

    outflow: int
    in_doubt: int
    last_claim: datetime | None


class Flows(LedgerBase):
    """The part of the ledger that sums up."""

    def flow(self) -> Flow:
        """Money on its way."""
        held = sa.case((orders.c.state == State.SUBMITTED, orders.c.points_held), else_=0)
        query = sa.select(
            sa.func.coalesce(sa.func.sum(held), 0)
            + sa.func.coalesce(sa.func.sum(sa.func.coalesce(orders.c.points_charged, 0)), 0),
            sa.func.coalesce(sa.func.sum(sa.case((orders.c.state.in_(_IN_DOUBT), 1), else_=0)), 0),
            sa.func.max(orders.c.claimed_at),
        )
        with self._database.reading() as connection:
            outflow, in_doubt, last_claim = connection.execute(query).one()
        return Flow(int(outflow), int(in_doubt), last_claim)

    def refusals_since(self, start: datetime) -> int:
        """How many orders were refused for their content since a time."""
        when = sa.func.coalesce(orders.c.vendor_ended_at, orders.c.accepted_at)
        query = (
            sa.select(sa.func.count())
            .select_from(orders)
            .where(orders.c.state == State.REJECTED, when >= start)
        )
        with self._database.reading() as connection:
            return int(connection.scalar(query) or 0)

    def cheapest_queued(self) -> int | None:
        """The smallest estimate of what is queued, in points; None when nothing is."""
        query = sa.select(sa.func.min(orders.c.estimated_points)).where(orders.c.state == State.QUEUED)
        with self._database.reading() as connection:
            found: int | None = connection.scalar(query)
        return found
