"""From the queue to the vendor: claims before the POST, and what follows its answer."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.leases import is_due, unleased
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.rows import move, takes_a_slot, to_order
from seedance_dagster.ledger.schema import leases, orders
from seedance_dagster.ledger.workload import Rejections, count_rejections


def _by_turns(waiting: sa.Select[tuple[int]]) -> sa.Select[Any]:
    """Waiting orders in the order of their turns.

    The set with the fewest orders at the vendor comes first, then the one that waits longest since its
    last claim: places that come free one by one are shared as fairly as many at once.
    """
    turn = sa.func.row_number().over(partition_by=orders.c.prompt_set, order_by=orders.c.order_id)
    queue = waiting.add_columns(orders.c.prompt_set, turn.label("turn")).subquery()
    of_set = orders.c.prompt_set == queue.c.prompt_set
    at_vendor = sa.select(sa.func.count()).where(of_set, takes_a_slot()).scalar_subquery()
    served = sa.select(sa.func.max(orders.c.claimed_at)).where(of_set).scalar_subquery()
    share = (
        sa.select(queue.c.prompt_set, at_vendor.label("at_vendor"), served.label("served"))
        .group_by(queue.c.prompt_set)
        .subquery()
    )
    return (
        sa.select(orders)
        .join(queue, queue.c.order_id == orders.c.order_id)
        .join(share, share.c.prompt_set == orders.c.prompt_set)
        .order_by(share.c.at_vendor + queue.c.turn, share.c.served.nulls_first(), orders.c.order_id)
    )


class Claims(LedgerPart):
    """The part of the ledger around the POST."""

    def take(
        self,
        owner: str,
        *,
        limit: int,
        max_in_flight: int | None,
        only: Collection[int] | None = None,
        refusals: Rejections | None = None,
    ) -> list[Order]:
        """Claim queued orders for submission, by turns of the prompt sets, the oldest of each first.

        The claims are committed when this returns, so each POST that follows is on record before it leaves.

        Args:
            owner: The worker whose lease the claims are under.
            limit: At most so many.
            max_in_flight: Tasks at the vendor at once, over all processes; None for no limit.
            only: Restrict to these order ids.
            refusals: Those that `max_in_flight` was decided by; after another one nothing is claimed.
        """
        now = self._clock()
        waiting = sa.select(orders.c.order_id).where(orders.c.state == State.QUEUED, is_due(now))
        if only is not None:
            waiting = waiting.where(orders.c.order_id.in_(only))
        with self._database.reading() as connection:
            # Looked first without the writer's lock: idle workers ask often.
            if connection.scalar(waiting.limit(1)) is None:
                return []
        with self._database.writing() as connection:
            if refusals is not None and count_rejections(connection, refusals.since) > refusals.count:
                return []
            if max_in_flight is not None:
                at_vendor = connection.scalar(sa.select(sa.func.count()).where(takes_a_slot()))
                limit = min(limit, max_in_flight - int(at_vendor or 0))
            if limit <= 0:
                return []
            rows = connection.execute(_by_turns(waiting).limit(limit))
            return [
                move(
                    connection,
                    order,
                    State.CLAIMED,
                    actor=owner,
                    at=now,
                    changes={"lease_owner": owner, "claimed_at": now},
                )
                for order in map(to_order, rows.all())
            ]

    def is_valid(self, order: Order, *, margin_s: float) -> bool:
        """True while a claim is still its owner's and will be for some seconds: its POST may leave."""
        until = self._clock() + timedelta(seconds=margin_s)
        query = (
            sa.select(sa.literal(1))
            .select_from(orders.join(leases, leases.c.name == orders.c.lease_owner))
            .where(
                orders.c.order_id == order.order_id,
                orders.c.state == State.CLAIMED,
                orders.c.lease_owner == order.lease_owner,
                leases.c.until > until,
            )
        )
        with self._database.reading() as connection:
            return connection.scalar(query) is not None

    def requeue(self, order: Order, *, actor: str, due_at: datetime, reason: str) -> Order:
        """Put a claimed order back: no task was made. It may be claimed again from `due_at`."""
        with self._database.writing() as connection:
            return move(
                connection,
                order,
                State.QUEUED,
                actor=actor,
                at=self._clock(),
                changes={"due_at": due_at, "error_message": reason, "absent_since": None},
                detail={"reason": reason},
            )

    def mark_uncertain(self, order: Order, *, actor: str, reason: str) -> Order:
        """A POST may have left and its answer is unknown: the order waits for reconciliation."""
        now = self._clock()
        with self._database.writing() as connection:
            return move(
                connection,
                order,
                State.UNCERTAIN,
                actor=actor,
                at=now,
                changes={"due_at": now, "error_message": reason},
                detail={"reason": reason},
            )

    def expire(self, *, actor: str) -> list[Order]:
        """Claims of workers that are gone become uncertain: their POST may have left."""
        now = self._clock()
        with self._database.writing() as connection:
            rows = connection.execute(sa.select(orders).where(orders.c.state == State.CLAIMED, unleased(now)))
            return [
                move(
                    connection,
                    order,
                    State.UNCERTAIN,
                    actor=actor,
                    at=now,
                    changes={"due_at": now, "error_message": "the worker ended between claim and answer"},
                    detail={"lost_worker": order.lease_owner},
                )
                for order in map(to_order, rows.all())
            ]
