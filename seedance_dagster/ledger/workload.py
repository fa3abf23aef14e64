"""Sums over all orders that the engine decides by: refusals of a day, money on its way, what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.leases import LONGEST_DELAY, is_due, unleased
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.reports import unreported
from seedance_dagster.ledger.rows import takes_a_slot
from seedance_dagster.ledger.schema import orders


@dataclass(frozen=True)
class Count:
    """Orders of one set and state, with their money in points."""

    orders: int
    estimated_points: int
    points_held: int
    points_charged: int


@dataclass(frozen=True)
class Actionable:
    """What there is to do now.

    Attributes:
        to_submit: Queued orders whose time has come.
        to_collect: Finished tasks whose video nobody fetches yet.
        to_report: Orders of which Dagster was not told how they stand.
        to_poll: Tasks to look at.
        at_vendor: Tasks that are, or may be, at the vendor.
        uncertain: Orders whose POST had no clear answer.
        waiting_since: Since when the longest-waiting of what could be done waits (UTC).
        next_due_at: When the next thing becomes due (UTC).
    """

    to_submit: int
    to_collect: int
    to_report: int
    to_poll: int
    at_vendor: int
    uncertain: int
    waiting_since: datetime | None
    next_due_at: datetime | None


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
class Rejections:
    """How many orders were refused for their content since a time."""

    since: datetime
    count: int


def count_rejections(connection: sa.Connection, start: datetime) -> int:
    """The number of them in the caller's transaction."""
    when = sa.func.coalesce(orders.c.vendor_ended_at, orders.c.ordered_at)
    refused = sa.select(sa.func.count()).where(orders.c.state == State.REJECTED, when >= start)
    return int(connection.scalar(refused) or 0)


class Workload(LedgerPart):
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

    def rejections_since(self, start: datetime) -> Rejections:
        """How many orders were refused for their content since a time."""
        with self._database.reading() as connection:
            return Rejections(start, count_rejections(connection, start))

    def cheapest_queued(self) -> int | None:
        """The smallest estimate of what is queued, in points; None when nothing is."""
        query = sa.select(sa.func.min(orders.c.estimated_points)).where(orders.c.state == State.QUEUED)
        with self._database.reading() as connection:
            found: int | None = connection.scalar(query)
        return found

    def counts(self) -> dict[tuple[str, State], Count]:
        """Orders and money by prompt set and state."""

        def total(column: sa.Column[Any]) -> sa.ColumnElement[int]:
            return sa.func.coalesce(sa.func.sum(column), 0)

        query = sa.select(
            orders.c.prompt_set,
            orders.c.state,
            sa.func.count(),
            total(orders.c.estimated_points),
            total(orders.c.points_held),
            total(orders.c.points_charged),
        ).group_by(orders.c.prompt_set, orders.c.state)
        with self._database.reading() as connection:
            return {
                (name, State(state)): Count(*map(int, numbers))
                for name, state, *numbers in connection.execute(query)
            }

    def actionable(self) -> Actionable:
        """What could be done now by whoever has the time."""
        now = self._clock()
        free = unleased(now)

        def count(*conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
            return sa.select(sa.func.count()).select_from(orders).where(*conditions).scalar_subquery()

        due = is_due(now)
        since = sa.case(
            (orders.c.due_at <= now, orders.c.due_at),
            else_=sa.literal(now - LONGEST_DELAY, orders.c.due_at.type),
        )
        query = sa.select(
            count(orders.c.state == State.QUEUED, due),
            count(orders.c.state == State.SUCCEEDED, due, free),
            count(unreported(now)),
            count(orders.c.state == State.SUBMITTED, due, free),
            count(takes_a_slot()),
            count(orders.c.state == State.UNCERTAIN),
            sa.select(sa.func.min(since))
            .where(orders.c.state.in_({State.QUEUED, State.SUCCEEDED}), due, free)
            .scalar_subquery(),
            sa.select(sa.func.min(orders.c.due_at)).where(orders.c.due_at > now, ~due).scalar_subquery(),
        )
        with self._database.reading() as connection:
            return Actionable(*connection.execute(query).one())

    def render_seconds(self, task_type: str, *, sample: int = 50) -> float | None:
        """Median seconds from creation to end of a type's latest finished tasks; None when none is known."""
        query = (
            sa.select(orders.c.vendor_created_at, orders.c.vendor_ended_at)
            .where(
                orders.c.state.in_({State.SUCCEEDED, State.STORED}),
                orders.c.vendor_created_at.is_not(None),
                orders.c.vendor_ended_at.is_not(None),
                orders.c.request["task_type"].as_string() == task_type,
            )
            .order_by(orders.c.order_id.desc())
            .limit(sample)
        )
        with self._database.reading() as connection:
            spans = sorted((ended - created).total_seconds() for created, ended in connection.execute(query))
        return spans[len(spans) // 2] if spans else None
