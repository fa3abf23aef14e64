"""The current video of each partition."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import order_money
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.schema import orders, reported_prompts, to_order


class Videos(LedgerPart):
    """The part of the ledger that a set's index is made of."""

    def current(self, prompt_set: str) -> list[Order]:
        """Return the stored order that each partition of a set shows, sorted by their first orders.

        That is the newest one of the fingerprint that was last reported to Dagster, else the newest.
        """
        current = _current_videos(prompt_set)
        query = (
            sa.select(orders)
            .join(current, current.c.order_id == orders.c.order_id)
            .order_by(current.c.first_order_id)
        )
        with self._database.reading() as connection:
            return [to_order(row) for row in connection.execute(query)]

    def stamp(self, prompt_set: str) -> str:
        """Return a hash that changes when `current` or `Spend.by_day` would; it is cheaper than they are."""
        current = _current_videos(prompt_set)
        columns = (orders.c.order_id, orders.c.sha256, orders.c.points_charged, orders.c.stored_at)
        videos = (
            sa.select(*columns)
            .join(current, current.c.order_id == orders.c.order_id)
            .order_by(orders.c.order_id)
        )
        digest = hashlib.sha256()
        with self._database.reading() as connection:
            charged = order_money(connection).charged
            spend = sa.select(sa.func.count(), sa.func.sum(charged)).where(
                orders.c.prompt_set == prompt_set, charged > 0
            )
            for row in (*connection.execute(videos), *connection.execute(spend)):
                digest.update(repr(tuple(map(str, row))).encode())
        return digest.hexdigest()


def _current_videos(prompt_set: str) -> sa.Subquery:
    """Select `order_id` and `first_order_id`, a row for each partition that has a video."""
    reported = reported_prompts.c
    is_current = sa.case((reported.fingerprint == orders.c.fingerprint, 0), else_=1)
    within: dict[str, Any] = {"partition_by": orders.c.partition}
    ranked = (
        sa.select(
            orders.c.order_id,
            orders.c.state,
            sa.func.min(orders.c.order_id).over(**within).label("first_order_id"),
            sa.func.row_number()
            .over(
                **within,
                order_by=(orders.c.state != State.STORED, is_current, orders.c.order_id.desc()),
            )
            .label("rank"),
        )
        .outerjoin(
            reported_prompts,
            sa.and_(reported.prompt_set == orders.c.prompt_set, reported.partition == orders.c.partition),
        )
        .where(orders.c.prompt_set == prompt_set)
        .subquery()
    )
    return (
        sa.select(ranked.c.order_id, ranked.c.first_order_id)
        .where(ranked.c.rank == 1, ranked.c.state == State.STORED)
        .subquery()
    )
