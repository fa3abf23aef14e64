"""Orders whose POST had no clear reply: known tasks, and reads of the history that found none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.tables.schema import orders, task_type, to_order
from seedance_dagster.ledger.transitions import transition


@dataclass(frozen=True)
class KnownTask:
    """A task that an order owns.

    Attributes:
        task_id: The vendor's id.
        created_at: When the vendor made it (UTC).
        task_type: The type that was ordered.
        ended_at: When it ended by the vendor's clock, if it says so.
        running: True until its end was seen.
    """

    task_id: str
    created_at: datetime
    task_type: str
    ended_at: datetime | None
    running: bool

    def listed_from(self, *, unfinished: bool) -> datetime:
        """Return the time from which a history must list it, by the vendor's clock."""
        if unfinished or (self.ended_at is None and not self.running):
            return self.created_at
        return self.ended_at or datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class AnsweredTask:
    """A task whose POST was answered, so that it was made between two times of our clock.

    Attributes:
        sent_at: When its POST left (UTC, our clock).
        answered_at: When the reply was recorded (UTC, our clock).
        created_at: When the vendor made it (UTC, the vendor's clock).
    """

    sent_at: datetime
    answered_at: datetime
    created_at: datetime


class Reconciliation(LedgerPart):
    """The part of the ledger that handles uncertain orders."""

    def owned_tasks(self, task_ids: Collection[str]) -> set[str]:
        """Return those of some task ids that belong to an order."""
        owned: set[str] = set()
        with self._database.reading() as connection:
            for chunk in chunked(task_ids):
                owned.update(
                    connection.scalars(sa.select(orders.c.task_id).where(orders.c.task_id.in_(chunk)))
                )
        return owned

    def known_tasks(self, account: str, start: datetime) -> list[KnownTask]:
        """Return the tasks of an account's orders that the vendor made since a time."""
        query = sa.select(
            orders.c.task_id,
            orders.c.vendor_created_at,
            task_type,
            orders.c.state,
            orders.c.vendor_ended_at,
        ).where(
            orders.c.task_id.is_not(None),
            orders.c.vendor_created_at >= start,
            orders.c.account == account,
        )
        with self._database.reading() as connection:
            return [
                KnownTask(task_id, created, name, ended, state is State.SUBMITTED and ended is None)
                for task_id, created, name, state, ended in connection.execute(query)
            ]

    def answered_tasks(self, account: str, start: datetime, end: datetime) -> list[AnsweredTask]:
        """Return the answered tasks of an account that were sent in a span of time, the oldest first."""
        query = (
            sa.select(orders.c.sent_at, orders.c.submitted_at, orders.c.vendor_created_at)
            .where(
                orders.c.account == account,
                orders.c.sent_at.between(start, end),
                orders.c.submitted_at >= orders.c.sent_at,
                orders.c.vendor_created_at.is_not(None),
                orders.c.lost_at.is_(None),
            )
            .order_by(orders.c.sent_at)
        )
        with self._database.reading() as connection:
            return [AnsweredTask(*row) for row in connection.execute(query)]

    def longest_tasks(self, account: str) -> dict[str, timedelta]:
        """Return the longest time that an ended task of an account took, by task type, rounded up."""
        began, ended = (
            sa.extract("epoch", column) for column in (orders.c.vendor_created_at, orders.c.vendor_ended_at)
        )
        query = (
            sa.select(task_type, sa.func.max(ended - began))
            .where(
                orders.c.account == account,
                orders.c.vendor_created_at.is_not(None),
                orders.c.vendor_ended_at.is_not(None),
            )
            .group_by(task_type)
        )
        with self._database.reading() as connection:
            return {name: timedelta(seconds=int(s) + 1) for name, s in connection.execute(query)}

    def requeue_absent(self, order: Order, *, actor: str, due_at: datetime, reason: str) -> Order:
        """Put an uncertain order back into the queue, if nothing was noted since it was read.

        Raises:
            StaleOrderError: The order moved on, or another worker noted something meanwhile.
        """
        changes = {"due_at": due_at, "error_message": reason, "absent_since": None}
        with self._database.writing() as connection:
            noted = connection.scalar(
                sa.select(orders.c.absent_since).where(orders.c.order_id == order.order_id)
            )
            if noted != order.absent_since:
                msg = f"order {order.order_id} was examined by another worker meanwhile"
                raise StaleOrderError(msg)
            return transition(
                connection,
                order,
                State.QUEUED,
                actor=actor,
                at=self._clock(),
                changes=changes,
                detail={"reason": reason},
            )

    def note_absence(self, order: Order, *, due_at: datetime, since: datetime, reason: str) -> Order:
        """Note that the vendor's history was read completely without a task for an uncertain order."""
        return self._note(order, due_at, since, reason)

    def note_doubt(self, order: Order, *, due_at: datetime, reason: str) -> Order:
        """Note that the history is unreadable or ambiguous: complete reads are counted from zero again."""
        return self._note(order, due_at, None, reason)

    def _note(self, order: Order, due_at: datetime, absent_since: datetime | None, reason: str) -> Order:
        with self._database.writing() as connection:
            connection.execute(
                orders.update()
                .where(
                    orders.c.order_id == order.order_id,
                    orders.c.state == State.UNCERTAIN,
                    # Of this claim: a read from before a later claim says nothing about it.
                    orders.c.claimed_at.is_not_distinct_from(order.claimed_at),
                )
                .values(due_at=due_at, absent_since=absent_since, error_message=reason)
            )
            row = connection.execute(sa.select(orders).where(orders.c.order_id == order.order_id)).one()
        return to_order(row)
