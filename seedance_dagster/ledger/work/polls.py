"""Polls: the tasks that are followed, and hints that move the next poll of one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.columns import Unindexed
from seedance_dagster.ledger.tables.schema import orders
from seedance_dagster.ledger.work.leases import UNLEASED, lease_times

HEAD_START = timedelta(hours=1)
"""A hinted poll goes before those that have waited for less than this, so no other waits forever."""


@dataclass(frozen=True)
class FollowedTask:
    """A task that an order owns.

    Attributes:
        order_id: The order.
        submitted_at: When it was submitted (UTC), if that is known.
        due_at: When its next poll is due (UTC); None when its end was seen.
        ended_at: When it ended by the vendor's clock, if that was seen.
    """

    order_id: int
    submitted_at: datetime | None
    due_at: datetime | None
    ended_at: datetime | None


class Polls(LedgerPart):
    """The part of the ledger that says which task is polled next; no hint changes an order's state."""

    def running(self, account: str, *, submitted_before: datetime) -> list[datetime]:
        """Return the creation times of an account's running tasks that were submitted by a time."""
        query = sa.select(orders.c.vendor_created_at).where(
            orders.c.state == State.SUBMITTED,
            # Few of an account's tasks are running, so they are found by their state.
            Unindexed(orders.c.account) == account,
            orders.c.vendor_created_at.is_not(None),
            orders.c.submitted_at <= submitted_before,
        )
        with self._database.reading() as connection:
            return list(connection.scalars(query))

    def made(self, account: str, start: datetime, end: datetime) -> int:
        """Return how many tasks of an account the vendor made in a span of its time, both ends included."""
        query = sa.select(sa.func.count()).where(
            orders.c.account == account, orders.c.vendor_created_at.between(start, end)
        )
        with self._database.reading() as connection:
            return int(connection.scalar(query) or 0)

    def followed(self, task_ids: Collection[str]) -> dict[str, FollowedTask]:
        """Return those of some tasks that belong to orders, by task id."""
        columns = (orders.c.task_id, orders.c.order_id, orders.c.submitted_at, orders.c.state)
        query = sa.select(*columns, orders.c.due_at, orders.c.vendor_ended_at)
        by_task: dict[str, FollowedTask] = {}
        with self._database.reading() as connection:
            for chunk in chunked(task_ids):
                for row in connection.execute(query.where(orders.c.task_id.in_(chunk))):
                    due_at = row.due_at if row.state is State.SUBMITTED else None
                    by_task[row.task_id] = FollowedTask(
                        row.order_id, row.submitted_at, due_at, row.vendor_ended_at
                    )
        return by_task

    def first(self, task_ids: Collection[str]) -> list[int]:
        """Move the polls of running tasks before others; return the orders that were moved."""
        if not task_ids:
            return []
        now = self._clock()
        ahead = now - HEAD_START
        with self._database.reading() as connection:
            # Checked first without the writer's lock: webhooks may deliver anything.
            times = lease_times(self._lease_time(connection))
            waiting = (orders.c.state == State.SUBMITTED, orders.c.due_at > ahead, UNLEASED)
            ids = [
                order_id
                for chunk in chunked(task_ids)
                for order_id in connection.scalars(
                    sa.select(orders.c.order_id).where(orders.c.task_id.in_(chunk), *waiting), times
                )
            ]
        if not ids:
            return []
        with self._database.updating() as connection:
            moved = orders.update().where(orders.c.order_id.in_(ids), *waiting).values(due_at=ahead)
            return list(connection.scalars(moved.returning(orders.c.order_id), times))

    def later(self, task_ids: Collection[str], due_at: datetime) -> None:
        """Postpone the polls of running tasks that would be due earlier, but none that a hint asks for."""
        if not task_ids:
            return
        ahead = self._clock() - HEAD_START
        with self._database.updating() as connection:
            times = lease_times(self._lease_time(connection))
            waiting = (orders.c.due_at > ahead, orders.c.due_at < due_at, UNLEASED)
            of_tasks = (orders.c.task_id.in_(task_ids), orders.c.state == State.SUBMITTED)
            connection.execute(orders.update().where(*of_tasks, *waiting), {"due_at": due_at, **times})
