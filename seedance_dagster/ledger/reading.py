"""Questions to the ledger: orders, counts, what there is to do, what Dagster was told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerBase
from seedance_dagster.ledger.leasing import LONGEST_DELAY, is_due, unleased
from seedance_dagster.ledger.order import Order, State, Told
from seedance_dagster.ledger.rows import takes_a_place, to_order
from seedance_dagster.ledger.schema import journal, orders, reported_prompts

_CHUNK = 500  # rows asked for at once, well under SQLite's limit of bound parameters
_REPORT_GRACE = timedelta(seconds=60)  # a living run tells Dagster itself within this time


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
class JournalEntry:
    """One thing that happened to an order."""

    order_id: int
    at: datetime
    actor: str
    from_state: str | None
    to_state: str
    detail: dict[str, Any]


class Reading(LedgerBase):
    """The part of the ledger that answers questions."""

    def order(self, order_id: int) -> Order:
        """One order by its id; `KeyError` where there is none."""
        found = self.orders([order_id])
        if not found:
            raise KeyError(order_id)
        return found[0]

    def orders(self, order_ids: Iterable[int]) -> list[Order]:
        """Orders by their ids, in the order of the ids."""
        ids = list(order_ids)
        found: dict[int, Order] = {}
        with self._database.reading() as connection:
            for start in range(0, len(ids), _CHUNK):
                rows = connection.execute(
                    sa.select(orders).where(orders.c.order_id.in_(ids[start : start + _CHUNK]))
                )
                found.update((row.order_id, to_order(row)) for row in rows)
        return [found[order_id] for order_id in ids if order_id in found]

    def find(
        self,
        *,
        prompt_set: str | None = None,
        states: Collection[State] | None = None,
        task_id: str | None = None,
        limit: int | None = None,
    ) -> list[Order]:
        """Orders that match everything given, the oldest first."""
        query = sa.select(orders).order_by(orders.c.order_id).limit(limit)
        if prompt_set is not None:
            query = query.where(orders.c.prompt_set == prompt_set)
        if states is not None:
            query = query.where(orders.c.state.in_(states))
        if task_id is not None:
            query = query.where(orders.c.task_id == task_id)
        with self._database.reading() as connection:
            return [to_order(row) for row in connection.execute(query)]

    def latest(self, prompt_set: str) -> dict[str, Order]:
        """The newest order of each partition of a set."""
        newest = (
            sa.select(sa.func.max(orders.c.order_id))
            .where(orders.c.prompt_set == prompt_set)
            .group_by(orders.c.partition)
        )
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(orders).where(orders.c.order_id.in_(newest)))
            return {row.partition: to_order(row) for row in rows}

    def next_attempt(self, order: Order) -> Order | None:
        """The attempt that followed a failed one by itself."""
        with self._database.reading() as connection:
            row = connection.execute(
                sa.select(orders).where(
                    orders.c.prompt_set == order.prompt_set,
                    orders.c.partition == order.partition,
                    orders.c.fingerprint == order.fingerprint,
                    orders.c.attempt == order.attempt + 1,
                )
            ).one_or_none()
        return None if row is None else to_order(row)

    def superseded(self, order: Order) -> bool:
        """True when another order answers the partition better.

        What Dagster was last told that the file asks for comes first, then the newest order; failed
        and refused ones do not count.
        """
        with self._database.reading() as connection:
            return bool(
                connection.scalar(sa.select(_superseded()).where(orders.c.order_id == order.order_id))
            )

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
            count(_untold(now)),
            count(orders.c.state == State.SUBMITTED, due, free),
            count(takes_a_place()),
            count(orders.c.state == State.UNCERTAIN),
            sa.select(sa.func.min(since))
            .where(orders.c.state.in_({State.QUEUED, State.SUCCEEDED}), due, free)
            .scalar_subquery(),
            sa.select(sa.func.min(orders.c.due_at)).where(orders.c.due_at > now, ~due).scalar_subquery(),
        )
        with self._database.reading() as connection:
            return Actionable(*connection.execute(query).one())

    def unreported(self, limit: int) -> list[Order]:
        """Orders of which Dagster was not told how they stand, because whoever should have is gone."""
        query = sa.select(orders).where(_untold(self._clock())).order_by(orders.c.order_id).limit(limit)
        with self._database.reading() as connection:
            return [to_order(row) for row in connection.execute(query)]

    def mark_reported(self, told: Mapping[int, Told]) -> None:
        """Note what Dagster was told of orders."""
        with self._database.writing() as connection:
            for order_id, state in told.items():
                connection.execute(
                    orders.update().where(orders.c.order_id == order_id).values(reported=state)
                )

    def journal(self, order_id: int) -> list[JournalEntry]:
        """Everything that happened to an order, in order."""
        query = sa.select(journal).where(journal.c.order_id == order_id).order_by(journal.c.entry_id)
        with self._database.reading() as connection:
            return [
                JournalEntry(row.order_id, row.at, row.actor, row.from_state, row.to_state, row.detail)
                for row in connection.execute(query)
            ]

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


def _superseded() -> sa.ColumnElement[bool]:
    """True for orders whose partition another one answers better; for a query on `orders`."""
    other = orders.alias()
    asked = (
        sa.select(reported_prompts.c.fingerprint)
        .where(
            reported_prompts.c.prompt_set == orders.c.prompt_set,
            reported_prompts.c.partition == orders.c.partition,
        )
        .correlate(orders)
        .scalar_subquery()
    )
    now_asked, newer = other.c.fingerprint == asked, other.c.order_id > orders.c.order_id
    return (
        sa.exists()
        .where(
            other.c.prompt_set == orders.c.prompt_set,
            other.c.partition == orders.c.partition,
            other.c.state.not_in({State.FAILED, State.REJECTED}),
            sa.case((orders.c.fingerprint == asked, now_asked & newer), else_=now_asked | newer),
        )
        .correlate(orders)
    )


def _untold(now: datetime) -> sa.ColumnElement[bool]:
    before = now - _REPORT_GRACE
    told = orders.c.reported
    return sa.or_(
        sa.and_(
            orders.c.state.in_({State.SUBMITTED, State.SUCCEEDED}),
            told.is_(None),
            orders.c.submitted_at <= before,
        ),
        sa.and_(
            orders.c.state == State.STORED,
            told.is_distinct_from(Told.STORED),
            orders.c.stored_at <= before,
            # One that was told behind a better order is told anew once that came to nothing.
            sa.or_(told.is_distinct_from(Told.OBSERVED), ~_superseded()),
        ),
    )
