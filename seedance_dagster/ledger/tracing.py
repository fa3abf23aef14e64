"""Orders found by what became of them, through indexes only: as fast among a million as among ten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerBase
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.reading import JournalEntry
from seedance_dagster.ledger.rows import to_order
from seedance_dagster.ledger.schema import journal, orders, reported_prompts

_CHUNK = 500  # ids asked for at once, well under SQLite's limit of bound parameters


class Tracing(LedgerBase):
    """The part of the ledger that a trace is made of."""

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

    def prompt_reported(self, prompt_set: str, partition: str) -> str | None:
        """The fingerprint that Dagster was last told of a prompt; None when it was told nothing."""
        query = sa.select(reported_prompts.c.fingerprint).where(
            reported_prompts.c.prompt_set == prompt_set, reported_prompts.c.partition == partition
        )
        with self._database.reading() as connection:
            return connection.scalar(query)

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
