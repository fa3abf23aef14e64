"""Queries about the orders of one set that do not read all of them."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.order import WITHDRAWN, Order, State
from seedance_dagster.ledger.partitions import same_partition
from seedance_dagster.ledger.tables.schema import links, orders, partitions, to_order


class SetOrders(LedgerPart):
    """The part of the ledger that a set's rates and prices are computed from."""

    def newest_stored(self, prompt_set: str, *, limit: int) -> list[Order]:
        """Return those of the newest orders of a set's partitions whose video is stored, the newest first."""
        order_ids = sa.select(links.c.order_id).where(links.c.prompt_set == prompt_set)
        newest = order_ids.order_by(links.c.order_id.desc()).limit(limit).subquery()
        query = sa.select(orders).where(
            orders.c.order_id.in_(sa.select(newest.c.order_id)), orders.c.state == State.STORED
        )
        query = query.order_by(orders.c.order_id.desc())
        with self._database.reading() as connection:
            return [to_order(row) for row in connection.execute(query)]

    def newest_partitions(self, prompt_set: str, *, limit: int) -> set[str]:
        """Return the partitions that have a set's newest orders with a stored video."""
        query = (
            sa.select(links.c.partition)
            .join(orders, orders.c.order_id == links.c.order_id)
            .where(links.c.prompt_set == prompt_set, orders.c.state == State.STORED)
            .order_by(links.c.order_id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def with_rejections(self, prompt_set: str) -> set[str]:
        """Return the partitions of a set that have an order which moderation rejected."""
        query = (
            sa.select(links.c.partition)
            .join(orders, orders.c.order_id == links.c.order_id)
            .where(links.c.prompt_set == prompt_set, orders.c.state == State.REJECTED)
        )
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def count_ordered(self, prompt_set: str) -> int:
        """Return how many prompts of a set's file were ordered and not withdrawn before they were sent."""
        with self._database.reading() as connection:
            linked, withdrawn = (
                connection.scalar(query, {"of_set": prompt_set}) or 0 for query in _linked_and_withdrawn()
            )
        return linked - withdrawn


@cache
def _linked_and_withdrawn() -> tuple[sa.Select[int], sa.Select[int]]:
    """Count the prompts in a set's file that have an order, and those whose orders were all withdrawn."""
    prompt_set = sa.bindparam("of_set", type_=sa.Text)
    first, other, other_order = links.alias(), links.alias(), orders.alias()
    labels = sa.select(first.c.partition).where(first.c.prompt_set == prompt_set).distinct().subquery()
    label = (partitions.c.prompt_set == prompt_set) & (partitions.c.partition == labels.c.partition)
    count_all = sa.select(sa.func.count()).select_from(labels.outerjoin(partitions, label))
    sent = (
        sa.exists()
        .select_from(other.join(other_order, other_order.c.order_id == other.c.order_id))
        .where(same_partition(other, links), other_order.c.error_class.is_distinct_from(WITHDRAWN))
        .correlate(links)
    )
    withdrawn = (
        sa.select(sa.func.count(links.c.partition.distinct()))
        .select_from(links.join(orders, orders.c.order_id == links.c.order_id))
        .outerjoin(partitions, same_partition(partitions, links))
        .where(
            links.c.prompt_set == prompt_set,
            orders.c.state == State.FAILED,
            orders.c.error_class == WITHDRAWN,
            ~sent,
        )
    )
    in_file = partitions.c.removed_at.is_(None)
    return count_all.where(in_file), withdrawn.where(in_file)
