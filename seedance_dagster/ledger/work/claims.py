"""Claims: orders taken from the queue before their POST, and returned when no task was made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.tables.schema import orders, to_order
from seedance_dagster.ledger.transitions import transition, transition_all
from seedance_dagster.ledger.work.leases import LEASE_S, UNLEASED, lease, lease_times
from seedance_dagster.ledger.work.queue import any_due, count_in_flight, next_in_turn
from seedance_dagster.ledger.work.withdrawals import keep_wanted
from seedance_dagster.ledger.work.workload import Rejections, count_rejections

# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_BY_ID = sa.select(orders).where(orders.c.order_id.in_(sa.bindparam("ids", expanding=True)))
_EXPIRED = sa.select(orders).where(orders.c.state == State.CLAIMED, UNLEASED)
_CLAIMED = orders.update().where(
    orders.c.order_id == sa.bindparam("of_order_id"),
    orders.c.state == State.CLAIMED,
    orders.c.lease_owner == sa.bindparam("of_owner"),
    orders.c.claimed_at == sa.bindparam("of_claim"),
)


class Claims(LedgerPart):
    """The part of the ledger that claims orders for sending."""

    def are_due(self, only: Collection[int] | None = None) -> bool:
        """Return True when a queued order is due; with `only`, one of these ids."""
        with self._database.reading() as connection:
            return any_due(connection, self._clock(), only)

    def take(
        self,
        owner: str,
        *,
        limit: int,
        max_in_flight: int | None,
        lease_s: float = LEASE_S,
        only: Collection[int] | None = None,
        rejections: Rejections | None = None,
    ) -> list[Order]:
        """Claim queued orders for sending: the prompt sets take turns, the oldest order of each first.

        Orders that nobody wants any more are withdrawn instead. The claims are committed when this returns,
        so each POST that follows is on record before it leaves.

        Args:
            owner: The worker that the claimed orders are leased to.
            limit: Claim at most this many.
            max_in_flight: Tasks at the vendor at once, over all processes; None for no limit.
            lease_s: Seconds until the leases run out if nobody renews them.
            only: Claim only orders with these ids.
            rejections: The rejections that `max_in_flight` is based on; if there are more now, nothing is
                claimed.
        """
        now = self._clock()
        with self._database.writing() as connection:
            if rejections is not None and count_rejections(connection, rejections.since) > rejections.count:
                return []
            room = limit
            if max_in_flight is not None:
                room = min(limit, max_in_flight - count_in_flight(connection))
            changes = lease(owner, self._lease_time(connection), lease_s) | {
                "claimed_at": now,
                "sent_at": None,
            }
            claimed: list[Order] = []
            while len(claimed) < room:
                ids = next_in_turn(connection, now, room - len(claimed), only)
                if not ids:
                    break
                rows = connection.execute(_BY_ID, {"ids": ids})
                by_id = {order.order_id: order for order in map(to_order, rows.all())}
                queued = (by_id[order_id] for order_id in ids)
                wanted = keep_wanted(connection, queued, actor=owner, at=now)
                claimed += transition_all(
                    connection, wanted, State.CLAIMED, actor=owner, at=now, changes=changes
                )
            return claimed

    def mark_sent(
        self,
        order: Order,
        *,
        account: str,
        mark: str | None = None,
        sent: Mapping[str, Any] | None = None,
    ) -> None:
        """Note that a claimed order's POST is about to leave; it must not leave when this raises.

        Args:
            order: The order as claimed.
            account: The account that it is sent to.
            mark: The mark that the POST carries.
            sent: Columns that say which links are sent: `reference_facts`, or `source` and `source_url`.

        Raises:
            StaleOrderError: The claim is no longer its owner's.
        """
        with self._database.updating() as connection:
            condition = {
                "of_order_id": order.order_id,
                "of_owner": order.lease_owner,
                "of_claim": order.claimed_at,
            }
            facts = {"sent_at": self._clock(), "lost_at": None, "account": account, "mark": mark}
            marked = connection.execute(_CLAIMED, {**condition, **facts, **(sent or {})})
        if marked.rowcount != 1:
            msg = f"order {order.order_id} is no longer claimed by {order.lease_owner}"
            raise StaleOrderError(msg)

    def requeue(self, order: Order, *, actor: str, due_at: datetime, reason: str) -> Order:
        """Put an order back into the queue, because no task was made; it may be claimed from `due_at`."""
        changes = {"due_at": due_at, "error_class": None, "error_message": reason, "absent_since": None}
        return self._transition(
            order, State.QUEUED, actor=actor, at=self._clock(), changes=changes, detail={"reason": reason}
        )

    def mark_uncertain(
        self, order: Order, *, actor: str, reason: str, error_class: str | None = None
    ) -> Order:
        """Hand an order over to reconciliation: its POST may have left, and the reply is unknown."""
        now = self._clock()
        changes = {"due_at": now, "error_class": error_class, "error_message": reason, "lost_at": now}
        return self._transition(
            order, State.UNCERTAIN, actor=actor, at=now, changes=changes, detail={"reason": reason}
        )

    def expire(self, *, actor: str) -> list[Order]:
        """End claims whose lease ran out: uncertain where the POST may have left, else queued."""
        now = self._clock()

        def expired(connection: sa.Connection) -> list[Order]:
            times = lease_times(self._lease_time(connection))
            return [to_order(row) for row in connection.execute(_EXPIRED, times)]

        with self._database.reading() as connection:
            # Checked first without the writer's lock: every run and tick asks.
            if not expired(connection):
                return []
        with self._database.writing() as connection:
            return [
                transition(
                    connection,
                    order,
                    State.QUEUED if order.sent_at is None else State.UNCERTAIN,
                    actor=actor,
                    at=now,
                    changes=_after_loss(order, now),
                    detail={"lost_worker": order.lease_owner},
                )
                for order in expired(connection)
            ]


def _after_loss(order: Order, now: datetime) -> dict[str, Any]:
    if order.sent_at is None:
        return {"due_at": now, "error_message": "the worker ended before the POST"}
    message = "the worker ended between the POST and its reply"
    # A POST leaves within its lease: a later task is another order's, however late the loss is noticed.
    lease_end = now if order.leased_until is None else max(order.leased_until, order.sent_at)
    return {"due_at": now, "error_message": message, "lost_at": min(now, lease_end)}
