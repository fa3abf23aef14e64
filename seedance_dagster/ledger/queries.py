"""Questions to the ledger: orders, counts, what there is to do, what Dagster was told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.rows import to_order
from seedance_dagster.ledger.schema import journal, orders

_CHUNK = 500  # rows asked for at once, well under SQLite's limit of bound parameters


@dataclass(frozen=True)
class JournalEntry:
    """One thing that happened to an order."""

    order_id: int
    at: datetime
    actor: str
    from_state: str | None
    to_state: str
    detail: dict[str, Any]


class Queries(LedgerPart):
    """The part of the ledger that answers questions."""

    def get(self, order_id: int) -> Order:
        """One order by its id; `KeyError` where there is none."""
        found = self.get_many([order_id])
        if not found:
            raise KeyError(order_id)
        return found[0]

    def get_many(self, order_ids: Iterable[int]) -> list[Order]:
        """Orders by their ids, in the order of the ids."""
        ids = list(order_ids)
        found: dict[int, Order] = {}
        with self._database.reading() as connection:
            for start in range(0, len(ids), _CHUNK):
                rows = connection.execute(
                    sa.select(orders).where(orders.c.order_id.in_(ids[start : start + _CHUNK]))
                )
                found.update((row.order_id, to_order(row)) for row in rows)
        return [found[order_id] for order_id in ids if order_id in found]

    def find(
        self,
        *,
        prompt_set: str | None = None,
        states: Collection[State] | None = None,
        task_id: str | None = None,
        limit: int | None = None,
    ) -> list[Order]:
        """Orders that match everything given, the oldest first."""
        query = sa.select(orders).order_by(orders.c.order_id).limit(limit)
        if prompt_set is not None:
            query = query.where(orders.c.prompt_set == prompt_set)
        if states is not None:
            query = query.where(orders.c.state.in_(states))
        if task_id is not None:
            query = query.where(orders.c.task_id == task_id)
        with self._database.reading() as connection:
            return [to_order(row) for row in connection.execute(query)]

    def latest(self, prompt_set: str) -> dict[str, Order]:
        """The newest order of each partition of a set."""
        newest = (
            sa.select(sa.func.max(orders.c.order_id))
            .where(orders.c.prompt_set == prompt_set)
            .group_by(orders.c.partition)
        )
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(orders).where(orders.c.order_id.in_(newest)))
            return {row.partition: to_order(row) for row in rows}

    def next_attempt(self, order: Order) -> Order | None:
        """The attempt that followed a failed one by itself."""
        with self._database.reading() as connection:
            row = connection.execute(
                sa.select(orders).where(
                    orders.c.prompt_set == order.prompt_set,
                    orders.c.partition == order.partition,
                    orders.c.fingerprint == order.fingerprint,
                    orders.c.attempt == order.attempt + 1,
                )
            ).one_or_none()
        return None if row is None else to_order(row)

    def journal(self, order_id: int) -> list[JournalEntry]:
        """Everything that happened to an order, in order."""
        query = sa.select(journal).where(journal.c.order_id == order_id).order_by(journal.c.entry_id)
        with self._database.reading() as connection:
            return [
                JournalEntry(row.order_id, row.at, row.actor, row.from_state, row.to_state, row.detail)
                for row in connection.execute(query)
            ]

    def with_task(self, task_id: str) -> Order | None:
        """The order that owns a task of the vendor's."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(orders).where(orders.c.task_id == task_id)).one_or_none()
        return None if row is None else to_order(row)

    def with_hash(self, sha256: str, *, limit: int) -> list[Order]:
        """Orders whose video, as stored or as delivered, has this SHA-256 in hex; the oldest first."""
        # A union, since not every planner answers an OR by two indexes.
        ids = sa.union(
            sa.select(orders.c.order_id).where(orders.c.sha256 == sha256),
            sa.select(orders.c.order_id).where(orders.c.delivered_sha256 == sha256),
        ).subquery()
        query = (
            sa.select(orders)
            .join(ids, ids.c.order_id == orders.c.order_id)
            .order_by(ids.c.order_id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [to_order(row) for row in connection.execute(query)]

    def of_partition(self, prompt_set: str, partition: str) -> list[Order]:
        """All orders of one partition, whatever its request was at the time; the oldest first."""
        query = sa.select(orders).where(orders.c.prompt_set == prompt_set, orders.c.partition == partition)
        with self._database.reading() as connection:
            found = [to_order(row) for row in connection.execute(query)]
        return sorted(found, key=lambda order: order.order_id)

    def ordered_among(self, prompt_set: str, partitions: Collection[str]) -> set[str]:
        """Those of some partitions that were ever ordered."""
        query = sa.select(orders.c.partition).where(
            orders.c.prompt_set == prompt_set, orders.c.partition.in_(partitions)
        )
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def journals(self, order_ids: Sequence[int]) -> dict[int, list[JournalEntry]]:
        """Everything that happened to some orders, in order, by order id."""
        entries: dict[int, list[JournalEntry]] = defaultdict(list)
        with self._database.reading() as connection:
            for start in range(0, len(order_ids), _CHUNK):
                query = sa.select(journal).where(journal.c.order_id.in_(order_ids[start : start + _CHUNK]))
                for row in connection.execute(query.order_by(journal.c.entry_id)):
                    entries[row.order_id].append(
                        JournalEntry(
                            row.order_id, row.at, row.actor, row.from_state, row.to_state, row.detail
                        )
                    )
        return dict(entries)
