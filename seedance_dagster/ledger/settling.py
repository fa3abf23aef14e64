"""Settling orders whose fate is unknown: known tasks, and readings that did not find one."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerBase
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.rows import to_order
from seedance_dagster.ledger.schema import orders

_CHUNK = 500  # ids asked for at once, well under SQLite's limit of bound parameters


class Settling(LedgerBase):
    """The part of the ledger around uncertain orders."""

    def owned(self, task_ids: Collection[str]) -> set[str]:
        """Those of some task ids that belong to an order."""
        ids = list(task_ids)
        found: set[str] = set()
        with self._database.reading() as connection:
            for start in range(0, len(ids), _CHUNK):
                query = sa.select(orders.c.task_id).where(orders.c.task_id.in_(ids[start : start + _CHUNK]))
                found.update(str(task_id) for task_id in connection.scalars(query))
        return found

    def tasks_made(self, start: datetime, end: datetime) -> dict[str, State]:
        """Tasks known to have been made in a span of time, with their orders' states."""
        query = sa.select(orders.c.task_id, orders.c.state).where(
            orders.c.task_id.is_not(None), orders.c.vendor_created_at.between(start, end)
        )
        with self._database.reading() as connection:
            return {str(task_id): State(state) for task_id, state in connection.execute(query)}

    def still_absent(self, order: Order, *, due_at: datetime, read_at: datetime) -> Order:
        """Note that the vendor's history was read cleanly without a task for an uncertain order."""
        return self._note(order, due_at, order.absent_since or read_at, order.error_message)

    def still_unknown(self, order: Order, *, due_at: datetime, reason: str) -> Order:
        """Note that the history could not be read or is ambiguous: the clean readings start anew."""
        return self._note(order, due_at, None, reason)

    def _note(
        self, order: Order, due_at: datetime, absent_since: datetime | None, reason: str | None
    ) -> Order:
        with self._database.writing() as connection:
            connection.execute(
                orders.update()
                .where(orders.c.order_id == order.order_id, orders.c.state == State.UNCERTAIN)
                .values(due_at=due_at, absent_since=absent_since, error_message=reason)
            )
            row = connection.execute(sa.select(orders).where(orders.c.order_id == order.order_id)).one()
        return to_order(row)
