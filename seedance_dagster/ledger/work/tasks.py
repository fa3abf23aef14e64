"""Tasks at the vendor, from submission to a stored video: leases on due work, polls, ends and transfers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.errors import TaskOwnedError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.partitions import copy_links
from seedance_dagster.ledger.tables.schema import NO_LEASE, ordered_values, orders, to_order
from seedance_dagster.ledger.transitions import insert_order, next_number, transition
from seedance_dagster.ledger.work.leases import (
    DUE_AHEAD_OF_TIME,
    DUE_IN_TIME,
    LEASE_S,
    UNLEASED,
    due_times,
    lease,
    lease_times,
)
from seedance_dagster.ledger.work.queue import in_one_statement, select_ids
from seedance_dagster.ledger.work.withdrawals import withdraw_removals

# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_OWNER = sa.select(orders.c.order_id).where(orders.c.task_id == sa.bindparam("of_task"))
_DUE = [
    sa.select(orders.c.order_id)
    .where(orders.c.state == sa.bindparam("of_state"), UNLEASED, is_due)
    .order_by(orders.c.due_at)
    for is_due in (DUE_IN_TIME, DUE_AHEAD_OF_TIME)
]
_DUE_TO_LOCK = [query.with_for_update(skip_locked=True) for query in _DUE]
_LEASE = orders.update().where(orders.c.order_id.in_(sa.bindparam("ids", expanding=True))).returning(orders)
# The queued removals that wait for an order's video.
_WAITING_FOR = orders.update().where(
    orders.c.source_order_id == sa.bindparam("of_source"), orders.c.state == State.QUEUED
)


class Tasks(LedgerPart):
    """The part of the ledger that follows tasks to their videos."""

    def submitted(
        self, order: Order, *, actor: str, due_at: datetime, task: Mapping[str, Any], how: str = "reply"
    ) -> Order:
        """Record the vendor's task for a claimed or uncertain order.

        Args:
            order: The order as claimed, or as found uncertain.
            actor: Who records it.
            due_at: When to poll first.
            task: Columns known of the task: `task_id`, `points_held`, `vendor_created_at`, ...
            how: "reply" to our POST, or "adopted" from the vendor's history.

        Raises:
            TaskOwnedError: Another order has that task.
            StaleOrderError: The order moved on.
        """
        now, task_id = self._clock(), task["task_id"]
        with self._database.updating() as connection:
            owner = connection.scalar(_OWNER, {"of_task": task_id})
            if owner not in (None, order.order_id):
                msg = f"task {task_id} belongs to order {owner} already"
                raise TaskOwnedError(msg)
            try:
                return transition(
                    connection,
                    order,
                    State.SUBMITTED,
                    actor=actor,
                    at=now,
                    changes={**task, "submitted_at": now, "due_at": due_at},
                    detail={"task_id": task_id, "how": how},
                )
            except IntegrityError:  # another order got it since the query
                msg = f"task {task_id} belongs to another order already"
                raise TaskOwnedError(msg) from None

    def lease_due(
        self,
        owner: str,
        state: State,
        *,
        limit: int,
        lease_s: float = LEASE_S,
        only: Collection[int] | None = None,
    ) -> list[Order]:
        """Lease due orders of a state that no worker holds, the longest-waiting first."""
        now = self._clock()

        def due(connection: sa.Connection, count: int, *, lock: bool = False) -> list[int]:
            times = {"of_state": state, **due_times(now), **lease_times(self._lease_time(connection))}
            ids: list[int] = []
            # One after the other, each in the order of the index, until there are enough.
            for query in _DUE_TO_LOCK if lock else _DUE:
                if len(ids) < count:
                    ids += select_ids(connection, query, times, limit=count - len(ids), only=only)
            return ids

        with self._database.reading() as connection:
            # Checked first without the writer's lock: idle workers ask often.
            if not due(connection, 1):
                return []
        # On PostgreSQL others lease at the same time, and skip the rows that this one has locked.
        lock = in_one_statement(only)
        transaction = self._database.updating if lock else self._database.writing
        with transaction() as connection:
            ids = due(connection, limit, lock=lock)
            leased = lease(owner, self._lease_time(connection), lease_s)
            rows = connection.execute(_LEASE, {"ids": ids, **leased})
            return sorted(map(to_order, rows.all()), key=lambda order: (order.due_at, order.order_id))

    def polled(self, order: Order, *, due_at: datetime, task: Mapping[str, Any]) -> None:
        """Note a poll that found the task still running, and end the lease."""
        with self._database.updating() as connection:
            connection.execute(
                orders.update()
                .where(
                    orders.c.order_id == order.order_id,
                    # A late poll of the same worker must not overwrite what came after it.
                    orders.c.state == State.SUBMITTED,
                    orders.c.lease_owner == order.lease_owner,
                )
                .values(due_at=due_at, polls=orders.c.polls + 1, **NO_LEASE, **task)
            )

    def succeeded(self, order: Order, *, actor: str, task: Mapping[str, Any]) -> Order:
        """Record that the vendor finished and charged a task, so that its video can be collected."""
        now = self._clock()
        with self._database.updating() as connection:
            finished = transition(
                connection,
                order,
                State.SUCCEEDED,
                actor=actor,
                at=now,
                changes={**task, "due_at": now},
                detail={"points_charged": task.get("points_charged")},
            )
            connection.execute(_WAITING_FOR, {"of_source": order.order_id, "due_at": now})
            return finished

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
        """End an order without a video, and queue its next attempt where `retry_at` is given.

        Args:
            order: The order as leased or claimed.
            state: REJECTED or FAILED.
            actor: Who records it.
            error_class: The failure class, such as "moderation".
            reason: The vendor's message.
            task: Columns known of the task, its charge among them.
            retry_at: When the next attempt may be sent; None for no further attempt.

        Returns:
            The ended order and the next attempt, if there is one.
        """
        now = self._clock()
        with self._database.writing() as connection:
            ended = transition(
                connection,
                order,
                state,
                actor=actor,
                at=now,
                changes={**task, "error_class": error_class, "error_message": reason, "due_at": None},
                detail={"error_class": error_class, "reason": reason},
            )
            if retry_at is None:
                withdraw_removals(connection, ended, actor=actor, at=now)
                return ended, None
            attempt = next_number(connection, order.fingerprint, order.take)
            values = ordered_values(order) | {
                "attempt": attempt,
                "retries": order.retries - 1,
                "idempotency_key": order.idempotency_key,
                "run_id": order.run_id,
                "job_name": order.job_name,
                "run_tags": order.run_tags,
                "ordered_at": now,
                # The points of the ended attempt were refunded: the next one uses the same budgets.
                "booked_at": order.booked_at,
                "source_order_id": order.source_order_id,
                "due_at": retry_at,
            }
            detail = {"attempt": attempt}
            successor = insert_order(connection, State.QUEUED, values, actor=actor, at=now, detail=detail)
            copy_links(connection, order.order_id, successor.order_id, at=now)
            connection.execute(
                _WAITING_FOR, {"of_source": order.order_id, "source_order_id": successor.order_id}
            )
            return ended, successor

    def book_charge(self, order: Order, *, actor: str, points: int, reason: str | None) -> Order:
        """Book the charge of an ended order that the vendor never reported, or that a person got wrong.

        Args:
            reason: Why it has no video, which may name its charge; None for a stored one.
        """
        return self._transition(
            order,
            order.state,
            actor=actor,
            at=self._clock(),
            changes={"points_charged": points, "error_message": reason},
            detail={"points_charged": points},
        )

    def stored(self, order: Order, *, actor: str, artifacts: Mapping[str, Any]) -> Order:
        """Record that video, poster and manifest are in S3."""
        now = self._clock()
        return self._transition(
            order,
            State.STORED,
            actor=actor,
            at=now,
            changes={**artifacts, "stored_at": now, "due_at": None, "error_message": None},
            detail={"sha256": artifacts.get("sha256"), "video_key": artifacts.get("video_key")},
        )

    def transfer_failed(self, order: Order, *, actor: str, due_at: datetime, reason: str) -> Order:
        """Note a failed download or upload; the video is paid for, and its transfer is due at `due_at`."""
        failures = order.transfer_failures + 1
        changes = {"due_at": due_at, "error_message": reason, "transfer_failures": failures}
        return self._transition(
            order, State.SUCCEEDED, actor=actor, at=self._clock(), changes=changes, detail={"reason": reason}
        )

    def return_orders(
        self, owner: str, order_ids: Collection[int], *, possibly_sent: Collection[int] = ()
    ) -> None:
        """Take some orders back from a worker that goes on with its others.

        Args:
            owner: The worker.
            order_ids: The orders; those that are no longer its own stay as they are.
            possibly_sent: Claimed orders whose POST may have left; they become uncertain, the other
                claims return to the queue.
        """
        with self._database.writing() as connection:
            self._take_back(connection, owner, possibly_sent, only=order_ids)

    def release(self, owner: str, *, possibly_sent: Collection[int] = ()) -> None:
        """Take all orders back from a worker that ends, as `return_orders` does."""
        with self._database.writing() as connection:
            self._take_back(connection, owner, possibly_sent)

    def _take_back(
        self,
        connection: sa.Connection,
        owner: str,
        possibly_sent: Collection[int],
        only: Collection[int] | None = None,
    ) -> None:
        now = self._clock()
        held: dict[str, Any] = {"of_owner": owner} | ({} if only is None else {"only": list(only)})
        claims, release = _held(restricted=only is not None)
        for order in map(to_order, connection.execute(claims, held).all()):
            sent = order.order_id in possibly_sent
            reason = f"the worker returned it {'without a reply to' if sent else 'before'} the POST"
            transition(
                connection,
                order,
                State.UNCERTAIN if sent else State.QUEUED,
                actor=owner,
                at=now,
                changes={"due_at": now, "error_message": reason, "lost_at": now if sent else order.lost_at},
                detail={"reason": reason},
            )
        connection.execute(release, held)


@cache
def _held(*, restricted: bool) -> tuple[sa.Select[Any], sa.Update]:
    """Return the query for a worker's claims, and the update that ends all its leases; or those in `only`."""
    held = [orders.c.lease_owner == sa.bindparam("of_owner")]
    if restricted:
        held.append(orders.c.order_id.in_(sa.bindparam("only", expanding=True)))
    claims = sa.select(orders).where(*held, orders.c.state == State.CLAIMED)
    return claims, orders.update().where(*held).values(NO_LEASE)
