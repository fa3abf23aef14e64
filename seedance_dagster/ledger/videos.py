"""What a prompt set has to show: the videos of its partitions, and what was spent on it by day."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import order_money
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.rows import to_order
from seedance_dagster.ledger.schema import orders, reported_prompts


class Videos(LedgerPart):
    """The part of the ledger that a set's index is made of."""

    def current(self, prompt_set: str) -> list[Order]:
        """The stored order that each partition of a set shows, in the order of their first orders.

        That is the newest one of what Dagster was last told that the file asks for, else the newest.
        """
        found = _current_videos(prompt_set)
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(orders)
                .join(found, found.c.order_id == orders.c.order_id)
                .order_by(found.c.first_order_id)
            )
            return [to_order(row) for row in rows]

    def stamp(self, prompt_set: str) -> str:
        """A hash that changes when `current` or `Spend.by_day` would answer otherwise, and is cheaper."""
        found = _current_videos(prompt_set)
        columns = (orders.c.order_id, orders.c.sha256, orders.c.points_charged, orders.c.stored_at)
        videos = (
            sa.select(*columns).join(found, found.c.order_id == orders.c.order_id).order_by(orders.c.order_id)
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
    """Columns `order_id` and `first_order_id`, a row for each partition that has a video."""
    asked = reported_prompts.c
    is_asked = sa.case((asked.fingerprint == orders.c.fingerprint, 0), else_=1)
    within: dict[str, Any] = {"partition_by": orders.c.partition}
    every = (
        sa.select(
            orders.c.order_id,
            orders.c.state,
            sa.func.min(orders.c.order_id).over(**within).label("first_order_id"),
            sa.func.row_number()
            .over(
                **within,
                order_by=(orders.c.state != State.STORED, is_asked, orders.c.order_id.desc()),
            )
            .label("rank"),
        )
        .outerjoin(
            reported_prompts,
            sa.and_(asked.prompt_set == orders.c.prompt_set, asked.partition == orders.c.partition),
        )
        .where(orders.c.prompt_set == prompt_set)
        .subquery()
    )
    return (
        sa.select(every.c.order_id, every.c.first_order_id)
        .where(every.c.rank == 1, every.c.state == State.STORED)
        .subquery()
    )
