"""From a task at the vendor to a video in S3: leases on due work, polls, ends and transfers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.errors import TaskOwnedError
from seedance_dagster.ledger.leases import is_due, unleased
from seedance_dagster.ledger.order import NewOrder, Order, State
from seedance_dagster.ledger.rows import insert_order, move, to_order
from seedance_dagster.ledger.schema import leases, orders


class Tasks(LedgerPart):
    """The part of the ledger that follows tasks to their videos."""

    def submitted(
        self, order: Order, *, actor: str, due_at: datetime, task: Mapping[str, Any], how: str = "answer"
    ) -> Order:
        """Record the vendor's task for a claimed or uncertain order.

        Args:
            order: As claimed, or as found uncertain.
            actor: Who says so.
            due_at: When to poll first.
            task: Columns known of the task: `task_id`, `points_held`, `vendor_created_at`, ...
            how: "answer" to our POST or "adopted" from the vendor's history.

        Raises:
            TaskOwnedError: Another order has that task.
            StaleOrderError: The order moved on.
        """
        now = self._clock()
        try:
            with self._database.writing() as connection:
                owner = connection.scalar(
                    sa.select(orders.c.order_id).where(orders.c.task_id == task["task_id"])
                )
                if owner not in (None, order.order_id):
                    msg = f"task {task['task_id']} belongs to order {owner} already"
                    raise TaskOwnedError(msg)
                return move(
                    connection,
                    order,
                    State.SUBMITTED,
                    actor=actor,
                    at=now,
                    changes={**task, "submitted_at": now, "due_at": due_at},
                    detail={"task_id": task["task_id"], "how": how},
                )
        except IntegrityError:  # pragma: no cover  the writer lock makes it impossible; the constraint stays
            msg = f"task {task['task_id']} belongs to another order already"
            raise TaskOwnedError(msg) from None

    def lease_due(
        self, owner: str, state: State, *, limit: int, only: Collection[int] | None = None
    ) -> list[Order]:
        """Take due orders of a state that nobody holds, the longest-waiting first."""
        now = self._clock()
        due = sa.select(orders.c.order_id).where(orders.c.state == state, is_due(now), unleased(now))
        if only is not None:
            due = due.where(orders.c.order_id.in_(only))
        with self._database.reading() as connection:
            # Looked first without the writer's lock: idle workers ask often.
            if connection.scalar(due.limit(1)) is None:
                return []
        with self._database.writing() as connection:
            rows = connection.execute(
                orders.update()
                .where(orders.c.order_id.in_(due.order_by(orders.c.due_at).limit(limit)))
                .values(lease_owner=owner)
                .returning(orders)
            )
            return sorted(map(to_order, rows.all()), key=lambda order: (order.due_at, order.order_id))

    def polled(self, order: Order, *, due_at: datetime, seen: Mapping[str, Any]) -> None:
        """Note a poll that found the task still at work, and give the order back."""
        with self._database.writing() as connection:
            connection.execute(
                orders.update()
                .where(
                    orders.c.order_id == order.order_id,
                    # A late look of the same worker must not write over what came after it.
                    orders.c.state == State.SUBMITTED,
                    orders.c.lease_owner == order.lease_owner,
                )
                .values(due_at=due_at, polls=orders.c.polls + 1, lease_owner=None, **seen)
            )

    def succeeded(self, order: Order, *, actor: str, task: Mapping[str, Any]) -> Order:
        """The vendor finished and charged: the video is to be collected."""
        now = self._clock()
        with self._database.writing() as connection:
            return move(
                connection,
                order,
                State.SUCCEEDED,
                actor=actor,
                at=now,
                changes={**task, "due_at": now},
                detail={"points_charged": task.get("points_charged")},
            )

    def ended(
        self,
        order: Order,
        state: State,
        *,
        actor: str,
        error_class: str,
        reason: str,
        task: Mapping[str, Any],
        retry_at: datetime | None = None,
    ) -> tuple[Order, Order | None]:
        """The order ends without a video; where `retry_at` is given its next attempt is queued with it.

        Args:
            order: The order as leased or claimed.
            state: REJECTED or FAILED.
            actor: Who found out.
            error_class: The failure class, such as "moderation".
            reason: The vendor's words.
            task: Columns known of the task, its charge among them.
            retry_at: When the next attempt may be sent; None for no further attempt.

        Returns:
            The ended order and the next attempt, if there is one.
        """
        now = self._clock()
        with self._database.writing() as connection:
            over = move(
                connection,
                order,
                state,
                actor=actor,
                at=now,
                changes={**task, "error_class": error_class, "error_message": reason, "due_at": None},
                detail={"error_class": error_class, "reason": reason},
            )
            if retry_at is None:
                return over, None
            copied = {name: getattr(order, name) for name in NewOrder.__dataclass_fields__}
            again = insert_order(
                connection,
                {
                    **copied,
                    "attempt": order.attempt + 1,
                    "retries": order.retries - 1,
                    "idempotency_key": order.idempotency_key,
                    "run_id": order.run_id,
                    "job_name": order.job_name,
                    "run_tags": order.run_tags,
                },
                actor=actor,
                at=now,
                # The points of the ended attempt came back: the next one takes their place in its budgets.
                booked_at=order.booked_at,
                due_at=retry_at,
            )
            return over, again

    def stored(self, order: Order, *, actor: str, artifacts: Mapping[str, Any]) -> Order:
        """Bytes, poster and manifest are in S3."""
        now = self._clock()
        with self._database.writing() as connection:
            return move(
                connection,
                order,
                State.STORED,
                actor=actor,
                at=now,
                changes={**artifacts, "stored_at": now, "due_at": None, "error_message": None},
                detail={"sha256": artifacts.get("sha256"), "video_key": artifacts.get("video_key")},
            )

    def transfer_failed(self, order: Order, *, actor: str, due_at: datetime, reason: str) -> Order:
        """A download or upload broke: paid and outstanding, tried again from `due_at`."""
        with self._database.writing() as connection:
            return move(
                connection,
                order,
                State.SUCCEEDED,
                actor=actor,
                at=self._clock(),
                changes={
                    "due_at": due_at,
                    "error_message": reason,
                    "transfer_failures": order.transfer_failures + 1,
                },
                detail={"reason": reason},
            )

    def return_orders(
        self, owner: str, order_ids: Collection[int], *, possibly_sent: Collection[int] = ()
    ) -> None:
        """A worker lets go of some orders.

        Args:
            owner: The worker.
            order_ids: The orders; those that are no longer its own are left alone.
            possibly_sent: Claimed orders whose POST may have left; they become uncertain, the other
                claims return to the queue.
        """
        with self._database.writing() as connection:
            self._let_go(connection, owner, possibly_sent, orders.c.order_id.in_(order_ids))

    def release(self, owner: str, *, possibly_sent: Collection[int] = ()) -> None:
        """A worker ends: it lets go of all that it held, as with `return_orders`, and of its lease."""
        with self._database.writing() as connection:
            self._let_go(connection, owner, possibly_sent, sa.true())
            connection.execute(leases.delete().where(leases.c.name == owner, leases.c.owner == owner))

    def _let_go(
        self,
        connection: sa.Connection,
        owner: str,
        possibly_sent: Collection[int],
        which: sa.ColumnElement[bool],
    ) -> None:
        now = self._clock()
        held = sa.and_(orders.c.lease_owner == owner, which)
        claims = sa.select(orders).where(held, orders.c.state == State.CLAIMED)
        for order in map(to_order, connection.execute(claims).all()):
            sent = order.order_id in possibly_sent
            reason = "the worker let go of it " + ("without the POST's answer" if sent else "before the POST")
            move(
                connection,
                order,
                State.UNCERTAIN if sent else State.QUEUED,
                actor=owner,
                at=now,
                changes={"due_at": now, "error_message": reason},
                detail={"reason": reason},
            )
        connection.execute(orders.update().where(held).values(lease_owner=None))
