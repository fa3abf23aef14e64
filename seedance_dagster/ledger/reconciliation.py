"""Orders whose POST had no clear reply: the tasks that are known, and reads that did not find one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.schema import orders, to_order


@dataclass(frozen=True)
class KnownTask:
    """A task that an order owns.

    Attributes:
        task_id: The vendor's id.
        created_at: When the vendor made it (UTC).
        running: True until its end was seen.
    """

    task_id: str
    created_at: datetime
    running: bool


class Reconciliation(LedgerPart):
    """The part of the ledger around uncertain orders."""

    def owned_tasks(self, task_ids: Collection[str]) -> set[str]:
        """Return those of some task ids that belong to an order."""
        owned: set[str] = set()
        with self._database.reading() as connection:
            for chunk in chunked(task_ids):
                owned.update(
                    connection.scalars(sa.select(orders.c.task_id).where(orders.c.task_id.in_(chunk)))
                )
        return owned

    def tasks_since(self, start: datetime) -> list[KnownTask]:
        """Return the tasks of orders that the vendor made since a time."""
        query = sa.select(
            orders.c.task_id, orders.c.vendor_created_at, orders.c.state, orders.c.vendor_ended_at
        ).where(orders.c.task_id.is_not(None), orders.c.vendor_created_at >= start)
        with self._database.reading() as connection:
            return [
                KnownTask(task_id, created_at, state is State.SUBMITTED and ended_at is None)
                for task_id, created_at, state, ended_at in connection.execute(query)
            ]

    def note_absence(self, order: Order, *, due_at: datetime, since: datetime) -> Order:
        """Note that the vendor's history was read completely without a task for an uncertain order."""
        return self._note(order, due_at, since, order.error_message)

    def note_doubt(self, order: Order, *, due_at: datetime, reason: str) -> Order:
        """Note that the history is unreadable or ambiguous: complete reads are counted from zero again."""
        return self._note(order, due_at, None, reason)

    def _note(
        self, order: Order, due_at: datetime, absent_since: datetime | None, reason: str | None
    ) -> Order:
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
