"""The workload: sums over all orders, on which the engine bases its decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import OPEN, State
from seedance_dagster.ledger.reports import is_overdue, report_times
from seedance_dagster.ledger.tables.columns import total
from seedance_dagster.ledger.tables.schema import (
    links,
    occupies_slot,
    orders,
    task_type,
)
from seedance_dagster.ledger.work.leases import (
    DUE_IN_TIME,
    IS_DUE,
    IS_DUE_IN_QUEUE,
    LONGEST_DELAY,
    UNLEASED,
    due_times,
    lease_times,
)
from seedance_dagster.ledger.work.queue import count_in_flight
from seedance_dagster.ledger.work.render_times import Kind, RenderTimes

_LATEST = 500  # tasks of all kinds

# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_OF_ACCOUNT = sa.or_(orders.c.account.is_(None), orders.c.account == sa.bindparam("of_account"))
_RUNS = sa.and_(orders.c.state == State.SUBMITTED, orders.c.vendor_ended_at.is_(None))
_IN_DOUBT = [
    sa.select(orders.c.order_id).where(condition, _OF_ACCOUNT).limit(1)
    for condition in (orders.c.state.in_({State.CLAIMED, State.UNCERTAIN}), _RUNS)
]
_REJECTED = sa.select(sa.func.count()).where(
    orders.c.state == State.REJECTED,
    sa.func.coalesce(orders.c.vendor_ended_at, orders.c.ended_at, orders.c.ordered_at)
    >= sa.bindparam("start"),
)


@dataclass(frozen=True)
class Count:
    """Orders of one set and state, with their money in points."""

    orders: int
    estimated_points: int
    points_held: int
    points_charged: int


@dataclass(frozen=True)
class Actionable:
    """The work that could be done now.

    Attributes:
        to_submit: Queued orders that are due.
        to_collect: Finished tasks whose video no worker is fetching.
        to_report: Orders whose state was not reported to Dagster in time.
        to_poll: Tasks whose next poll is due.
        in_flight: Tasks that are, or may be, at the vendor.
        uncertain: Orders whose POST had no clear reply.
        queued: Orders in the queue, due or not.
        finished: Finished tasks whose video is not stored, due or not.
        waiting_since: When the work that has waited longest became due (UTC).
        next_due_at: When the next work becomes due (UTC).
    """

    to_submit: int
    to_collect: int
    to_report: int
    to_poll: int
    in_flight: int
    uncertain: int
    queued: int
    finished: int
    waiting_since: datetime | None
    next_due_at: datetime | None


@dataclass(frozen=True)
class Flow:
    """The account's money as this ledger knows it, at one moment.

    Attributes:
        outflow: Points held and charged for all known tasks.
        claimed: Orders whose POST is on its way; the vendor may hold points for them already.
        uncertain: Orders whose POST had no clear reply; the vendor may hold points for them too.
        running: Known tasks whose end was not seen; some may be over, with their points refunded.
        last_claim: When an order was last claimed (UTC).
    """

    outflow: int
    claimed: int
    uncertain: int
    running: int
    last_claim: datetime | None


@dataclass(frozen=True)
class Rejections:
    """The number of orders that moderation rejected since a time."""

    since: datetime
    count: int


def count_rejections(connection: sa.Connection, start: datetime) -> int:
    """Return the number of rejected orders since a time, as the caller's transaction sees it."""
    return int(connection.scalar(_REJECTED, {"start": start}) or 0)


class Workload(LedgerPart):
    """The part of the ledger that sums up all orders."""

    def flow(self, account: str) -> Flow:
        """Return an account's money as this ledger knows it."""
        with self._database.reading() as connection:
            row = connection.execute(_flow(), {"of_account": account}).one()
        outflow, claimed, uncertain, running, last_claim = row
        return Flow(int(outflow), claimed, uncertain, running, last_claim)

    def in_doubt(self, account: str) -> bool:
        """Return True while a task of an account may be made, or end, without this ledger's knowledge."""
        with self._database.reading() as connection:
            ids = (connection.scalar(query, {"of_account": account}) for query in _IN_DOUBT)
            return any(order_id is not None for order_id in ids)

    def kinds_of(self, order_ids: Collection[int]) -> Counter[tuple[State, str]]:
        """Return how many of some orders are in each state, by the type of their task."""
        kinds: Counter[tuple[State, str]] = Counter()
        columns = (orders.c.state, task_type.label("task_type"))
        query = sa.select(*columns, sa.func.count()).group_by(*columns)
        with self._database.reading() as connection:
            for chunk in chunked(order_ids):
                rows = connection.execute(query.where(orders.c.order_id.in_(chunk)))
                kinds.update({(state, name): int(count) for state, name, count in rows})
        return kinds

    def in_flight(self) -> int:
        """Return the number of tasks that are, or may be, at the vendor."""
        with self._database.reading() as connection:
            return count_in_flight(connection)

    def rejections_since(self, start: datetime) -> Rejections:
        """Return how many orders moderation rejected since a time."""
        with self._database.reading() as connection:
            return Rejections(start, count_rejections(connection, start))

    def cheapest_queued(self) -> int | None:
        """Return the smallest estimate of a queued order, in points; None when none is queued.

        Orders that wait for the video of another one do not count.
        """
        # By the index of the queue, which covers the query, instead of one of due times.
        waits = sa.case((orders.c.due_at.is_(None), 1), else_=0) == 1
        query = sa.select(sa.func.min(orders.c.estimated_points)).where(
            orders.c.state == State.QUEUED, ~waits
        )
        with self._database.reading() as connection:
            cheapest: int | None = connection.scalar(query)
        return cheapest

    def counts(self) -> dict[tuple[str, State], Count]:
        """Return orders and money by prompt set and state."""
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
                (prompt_set, state): Count(*map(int, numbers))
                for prompt_set, state, *numbers in connection.execute(query)
            }

    def queued_by_set(self) -> dict[str, int]:
        """Return the number of queued orders by prompt set."""
        query = (
            sa.select(orders.c.prompt_set, sa.func.count())
            .where(orders.c.state == State.QUEUED)
            .group_by(orders.c.prompt_set)
        )
        with self._database.reading() as connection:
            return {name: int(count) for name, count in connection.execute(query)}

    def actionable(self) -> Actionable:
        """Return the work that any worker could do now."""
        now = self._clock()
        times = {**due_times(now), **report_times(now), "waiting_longest": now - LONGEST_DELAY}
        with self._database.reading() as connection:
            row = connection.execute(_actionable(), times | lease_times(self._lease_time(connection))).one()
        *figures, queued_since, finished_since, next_due_at = row
        due_names = ("to_submit", "to_collect", "to_report", "to_poll")
        names = (*due_names, "in_flight", "uncertain", "queued", "finished")
        return Actionable(
            **dict(zip(names, figures, strict=True)),
            waiting_since=min(filter(None, (queued_since, finished_since)), default=None),
            next_due_at=next_due_at,
        )

    def render_times(self) -> RenderTimes:
        """Return how long the latest tasks took, of those that ended with a video."""
        with self._database.reading() as connection:
            return RenderTimes(
                (Kind(*kind), (ended_at - created_at).total_seconds())
                for *kind, created_at, ended_at in connection.execute(_render_times())
            )


@cache
def _actionable() -> sa.Select[*tuple[Any, ...]]:
    """Select the figures of `Workload.actionable` in one statement, since every tick needs them."""

    def count(*conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
        return sa.select(sa.func.count()).select_from(orders).where(*conditions).scalar_subquery()

    def since(*conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[datetime]:
        ahead = sa.bindparam("waiting_longest", type_=orders.c.due_at.type)
        waiting = sa.case((DUE_IN_TIME, orders.c.due_at), else_=ahead)
        return sa.select(sa.func.min(waiting)).where(*conditions).scalar_subquery()

    is_queued, is_finished = orders.c.state == State.QUEUED, orders.c.state == State.SUCCEEDED
    queued, finished = (is_queued, IS_DUE_IN_QUEUE), (is_finished, IS_DUE, UNLEASED)
    is_next = (orders.c.due_at > sa.bindparam("now"), orders.c.due_at <= sa.bindparam("longest_delay"))
    later = sa.select(sa.func.min(orders.c.due_at)).where(orders.c.state.in_(OPEN), *is_next)
    to_report = sa.select(sa.func.count()).select_from(
        links.join(orders, orders.c.order_id == links.c.order_id)
    )
    return sa.select(
        count(*queued),
        count(*finished),
        to_report.where(is_overdue()).scalar_subquery(),
        count(orders.c.state == State.SUBMITTED, IS_DUE, UNLEASED),
        count(occupies_slot),
        count(orders.c.state == State.UNCERTAIN),
        count(is_queued),
        count(is_finished),
        since(*queued),
        since(*finished),
        later.scalar_subquery(),
    )


@cache
def _flow() -> sa.Select[*tuple[Any, ...]]:
    # Once the vendor has charged for a task, it no longer holds anything for it.
    charged = sa.func.coalesce(orders.c.points_charged, 0)
    held = sa.and_(orders.c.state == State.SUBMITTED, charged == 0)
    charge_unknown = sa.and_(orders.c.task_id.is_not(None), orders.c.points_charged.is_(None))
    outflow = sa.case((held | charge_unknown, sa.func.coalesce(orders.c.points_held, 0)), else_=charged)
    return sa.select(
        total(outflow),
        sa.func.count().filter(orders.c.state == State.CLAIMED),
        sa.func.count().filter(orders.c.state == State.UNCERTAIN),
        sa.func.count().filter(_RUNS),
        sa.func.max(orders.c.claimed_at),
    ).where(_OF_ACCOUNT)


@cache
def _render_times() -> sa.Select[Any]:
    created, ended = orders.c.vendor_created_at, orders.c.vendor_ended_at
    latest = (
        sa.select(
            orders.c.state,
            task_type.label("task_type"),
            orders.c.request["duration"].as_integer().label("duration"),
            orders.c.request["resolution"].as_string().label("resolution"),
            created,
            ended,
        )
        .where(ended.is_not(None))
        .order_by(ended.desc())
        .limit(_LATEST)
        .subquery()
    )
    return sa.select(*(column for column in latest.c if column.name != "state")).where(
        latest.c.state.in_({State.SUCCEEDED, State.STORED}), latest.c.vendor_created_at.is_not(None)
    )
