"""Queries: orders, and everything that happened to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import ENDED, OPEN, WITHDRAWN, Order, State
from seedance_dagster.ledger.partitions import asks_for, same_partition
from seedance_dagster.ledger.tables.columns import Unindexed
from seedance_dagster.ledger.tables.schema import (
    journal,
    links,
    orders,
    other_orders,
    partitions,
    to_order,
)


@dataclass(frozen=True)
class JournalEntry:
    """One thing that happened to an order; `entry_id` is its number in the journal."""

    entry_id: int
    order_id: int
    at: datetime
    actor: str
    from_state: str | None
    to_state: str
    detail: dict[str, Any]


# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_BY_ID = sa.select(orders).where(orders.c.order_id.in_(sa.bindparam("ids", expanding=True)))


class Queries(LedgerPart):
    """The part of the ledger that finds orders."""

    def get(self, order_id: int) -> Order:
        """Return one order by its id; raise `KeyError` when there is none."""
        matches = self.get_many([order_id])
        if not matches:
            raise KeyError(order_id)
        return matches[0]

    def get_many(self, order_ids: Iterable[int]) -> list[Order]:
        """Return orders by their ids, in the order of the ids, without those that do not exist."""
        ids = list(order_ids)
        by_id: dict[int, Order] = {}
        with self._database.reading() as connection:
            for chunk in chunked(ids):
                rows = connection.execute(_BY_ID, {"ids": chunk})
                by_id.update((row.order_id, to_order(row)) for row in rows)
        return [by_id[order_id] for order_id in ids if order_id in by_id]

    def find(
        self,
        *,
        prompt_set: str | None = None,
        states: Collection[State] | None = None,
        task_id: str | None = None,
        limit: int | None = None,
    ) -> list[Order]:
        """Return the orders that match every argument given, the oldest first."""
        query = sa.select(orders).order_by(orders.c.order_id).limit(limit)
        if prompt_set is not None:
            query = query.where(orders.c.prompt_set == prompt_set)
        if states is not None:
            query = query.where(orders.c.state.in_(states))
        if task_id is not None:
            query = query.where(orders.c.task_id == task_id)
        return self._all(query)

    def ids(self, prompt_set: str | None = None) -> list[int]:
        """Return the numbers of all orders, or of those of a set, the oldest first."""
        query = sa.select(orders.c.order_id).order_by(orders.c.order_id)
        if prompt_set is not None:
            query = query.where(orders.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return list(connection.scalars(query))

    def latest(self, prompt_set: str, keys: Collection[str] | None = None) -> dict[str, Order]:
        """Return the newest order of each partition of a set, preferring orders for its current request.

        Orders that were withdrawn before they were sent do not count. With `keys`, only these partitions
        count.
        """
        is_current = sa.case((asks_for(), 0), else_=1)
        rank = sa.func.row_number().over(
            partition_by=links.c.partition, order_by=(is_current, links.c.order_id.desc())
        )
        of_set = (
            sa.select(links.c.partition.label("label"), links.c.order_id, rank.label("rank"))
            .join(orders, orders.c.order_id == links.c.order_id)
            .outerjoin(partitions, same_partition(partitions, links))
            .where(links.c.prompt_set == prompt_set, orders.c.error_class.is_distinct_from(WITHDRAWN))
        )
        rankings = (
            [of_set]
            if keys is None
            else [of_set.where(links.c.partition.in_(chunk)) for chunk in chunked(keys)]
        )
        ids: dict[str, int] = {}
        with self._database.reading() as connection:
            for ranked in rankings:
                newest = ranked.subquery()
                query = sa.select(newest.c.label, newest.c.order_id).where(newest.c.rank == 1)
                ids |= {
                    row.label: row.order_id for row in connection.execute(query.order_by(newest.c.order_id))
                }
        by_id = {order.order_id: order for order in self.get_many(set(ids.values()))}
        return {label: by_id[order_id] for label, order_id in ids.items()}

    def in_question(self) -> dict[str, set[str]]:
        """Return the partitions, by set, that have an order without a video or with an unknown charge."""
        without_video = sa.select(orders.c.order_id).where(orders.c.state.in_(ENDED))
        # Nearly all have a video, so the others are found by an index that has state and charge.
        state = Unindexed(orders.c.state)
        without_charge = sa.select(orders.c.order_id).where(
            (state == State.SUCCEEDED) | (state == State.STORED), orders.c.points_charged.is_(None)
        )
        query = sa.select(links.c.prompt_set, links.c.partition)
        by_set: defaultdict[str, set[str]] = defaultdict(set)
        with self._database.reading() as connection:
            ids = connection.scalars(sa.union(without_video, without_charge)).all()
            for chunk in chunked(ids):
                for prompt_set, partition in connection.execute(query.where(links.c.order_id.in_(chunk))):
                    by_set[prompt_set].add(partition)
        return dict(by_set)

    def next_attempt(self, order: Order) -> Order | None:
        """Return the attempt that followed a failed one."""
        later = self._all(
            sa.select(orders)
            .where(
                orders.c.fingerprint == order.fingerprint,
                orders.c.take == order.take,
                orders.c.scope == order.scope,
                orders.c.attempt > order.attempt,
            )
            .order_by(orders.c.attempt)
            .limit(1)
        )
        return later[0] if later else None

    def open_sources(self, order_ids: Collection[int]) -> list[int]:
        """Return the open orders that are the sources of some removals."""
        source = other_orders
        query = sa.select(source.c.order_id).join(orders, orders.c.source_order_id == source.c.order_id)
        query = query.where(source.c.state.in_(OPEN))
        with self._database.reading() as connection:
            return [
                order_id
                for chunk in chunked(order_ids)
                for order_id in connection.scalars(query.where(orders.c.order_id.in_(chunk)))
            ]

    def with_task(self, task_id: str) -> Order | None:
        """Return the order that owns a vendor's task."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(orders).where(orders.c.task_id == task_id)).one_or_none()
        return None if row is None else to_order(row)

    def with_hash(self, sha256: str, *, limit: int) -> list[Order]:
        """Return orders whose video, as stored or as delivered, has a SHA-256 in hex; the oldest first."""
        # A union, since not every planner answers an OR by two indexes.
        ids = sa.union(
            sa.select(orders.c.order_id).where(orders.c.sha256 == sha256),
            sa.select(orders.c.order_id).where(orders.c.delivered_sha256 == sha256),
        ).subquery()
        same_bytes = sa.select(orders).join(ids, ids.c.order_id == orders.c.order_id)
        return self._all(same_bytes.order_by(ids.c.order_id).limit(limit))

    def newest_charges(self, *, limit: int) -> list[Order]:
        """Return the newest orders whose video is stored and whose charge is known, the newest first."""
        # Nearly all are stored, so they are walked by their numbers.
        charged = sa.and_(Unindexed(orders.c.state) == State.STORED, orders.c.points_charged.is_not(None))
        return self._all(sa.select(orders).where(charged).order_by(orders.c.order_id.desc()).limit(limit))

    def of_partition(self, prompt_set: str, partition: str) -> list[Order]:
        """Return all orders that one partition ever had, also for earlier requests; the oldest first."""
        query = (
            sa.select(orders)
            .join(links, links.c.order_id == orders.c.order_id)
            .where(links.c.prompt_set == prompt_set, links.c.partition == partition)
        )
        return self._all(query.order_by(orders.c.order_id))

    def journal(self, order_id: int) -> list[JournalEntry]:
        """Return the journal of an order, the oldest entry first, without archived entries."""
        return self.journals([order_id]).get(order_id, [])

    def journals(self, order_ids: Iterable[int]) -> dict[int, list[JournalEntry]]:
        """Return the journals of some orders by order id, the oldest entry first, without archived entries.

        `engine.journals` reads the archive as well.
        """
        entries: dict[int, list[JournalEntry]] = defaultdict(list)
        columns = (journal.c[name] for name in JournalEntry.__dataclass_fields__)
        query = sa.select(*columns).order_by(journal.c.entry_id)
        with self._database.reading() as connection:
            for chunk in chunked(order_ids):
                for row in connection.execute(query.where(journal.c.order_id.in_(chunk))):
                    entries[row.order_id].append(JournalEntry(*row))
        return dict(entries)

    def _all(self, query: sa.Select[Any]) -> list[Order]:
        with self._database.reading() as connection:
            return [to_order(row) for row in connection.execute(query)]
