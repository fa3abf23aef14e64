"""Repairs: deleted rows of orders, and steps back from the end of the lifecycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.ledger.partitions import Link, link_orders
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.ledger.tables.archive import archived_journals
from seedance_dagster.ledger.tables.schema import journal, links, orders, to_order
from seedance_dagster.ledger.transitions import insert_order, transition

_ROWS_AT_ONCE = 1000
_JOURNALED = ("task_id", "video_key", "points_charged")  # columns that transitions note in the journal


@dataclass(frozen=True)
class MissingOrder:
    """An order whose row is gone, as the journal knows it.

    Attributes:
        order_id: Its number.
        at: When it was placed (UTC).
        task_id: The vendor's task; None where none was made.
        video_key: Where its video was stored; None where there was none.
        points_charged: Its charge, in points; None where the vendor did not report it.
    """

    order_id: int
    at: datetime
    task_id: str | None = None
    video_key: str | None = None
    points_charged: int | None = None

    @classmethod
    def of(cls, entries: Sequence[JournalEntry]) -> MissingOrder:
        """Return the order that the entries of its journal describe."""
        missing = cls(entries[0].order_id, entries[0].at)
        for entry in entries:
            details = {name: entry.detail[name] for name in _JOURNALED if entry.detail.get(name)}
            missing = replace(missing, **details)
        return missing


class OrderOutline(NamedTuple):
    """The columns of an order that it may share with others; one for each partition linked to it.

    Attributes:
        at: When it last changed, as far as its row says (UTC).
        linked_set: The prompt set of a partition that is linked to it; None where there is none.
        linked_partition: The key of that partition.
    """

    order_id: int
    prompt_set: str
    partition: str
    fingerprint: str
    take: int
    task_id: str | None
    state: State
    at: datetime
    linked_set: str | None
    linked_partition: str | None


class Repairs(LedgerPart):
    """The part of the ledger that audits use."""

    def outlines(self, prompt_set: str | None = None) -> Iterator[OrderOutline]:
        """Yield all orders, or those that a set placed or is linked to, the oldest first."""
        own = ("order_id", "prompt_set", "partition", "fingerprint", "take", "task_id", "state")
        times = (orders.c[f"{name}_at"] for name in ("stored", "vendor_ended", "claimed", "ordered"))
        query = (
            sa.select(
                *(orders.c[name] for name in own),
                sa.func.coalesce(*times),
                links.c.prompt_set,
                links.c.partition,
            )
            .outerjoin(links, links.c.order_id == orders.c.order_id)
            .order_by(orders.c.order_id)
            .execution_options(yield_per=_ROWS_AT_ONCE)
        )
        if prompt_set is not None:
            query = query.where((orders.c.prompt_set == prompt_set) | (links.c.prompt_set == prompt_set))
        with self._database.reading() as connection:
            yield from map(OrderOutline._make, connection.execute(query))

    def attempts(self, fingerprint: str, take: int) -> list[Order]:
        """Return all orders of a take of a request."""
        query = sa.select(orders).where(orders.c.fingerprint == fingerprint, orders.c.take == take)
        with self._database.reading() as connection:
            return list(map(to_order, connection.execute(query)))

    def missing_orders(self) -> list[int]:
        """Return the ids of orders that the journal or its archive knows, but whose row a person deleted."""
        missing: set[int] = set()
        with self._database.reading() as connection:
            for table in (journal, archived_journals):
                has_row = sa.exists().where(orders.c.order_id == table.c.order_id)
                missing.update(connection.scalars(sa.select(table.c.order_id).where(~has_row)))
        return sorted(missing)

    def fetch_again(self, order: Order, *, actor: str, video_url: str, reason: str) -> Order:
        """Send a stored order back to its transfer, because its objects in S3 are lost or damaged.

        The next run fetches the video and reports it again.

        Args:
            order: A stored order.
            actor: Who decided it, for the journal.
            video_url: The vendor's current link.
            reason: The damage, for the journal.

        Raises:
            StaleOrderError: The order moved on.
        """
        now = self._clock()
        changes = {"video_url": video_url, "transfer_failures": 0, "due_at": now}
        with self._database.writing() as connection:
            connection.execute(
                links.update()
                .where(links.c.order_id == order.order_id, links.c.reported.is_not(None))
                .values(reported=Reported.SUBMITTED)
            )
            return transition(
                connection,
                order,
                State.SUCCEEDED,
                actor=actor,
                at=now,
                changes=changes,
                detail={"reason": reason},
            )

    def note_repair(self, order: Order, *, actor: str, repaired: str) -> Order:
        """Record in the journal that something beside a stored video was repaired, such as its manifest.

        Raises:
            StaleOrderError: The order moved on.
        """
        return self._transition(
            order, State.STORED, actor=actor, at=self._clock(), changes={}, detail={"repaired": repaired}
        )

    def poster_replaced(self, order: Order, *, actor: str, key: str, sha256: str, size_bytes: int) -> Order:
        """Record that the poster of a stored video was cut again, with other bytes.

        Raises:
            StaleOrderError: The order moved on.
        """
        changes = {
            "poster_key": key,
            "poster_sha256": sha256,
            "poster_size_bytes": size_bytes,
            "poster_problem": None,
        }
        detail = {"repaired": "the poster was cut again", "poster_sha256": sha256}
        return self._transition(
            order, State.STORED, actor=actor, at=self._clock(), changes=changes, detail=detail
        )

    def restore(
        self,
        values: Mapping[str, Any],
        *,
        order_id: int | None,
        actor: str,
        source: str,
        state: State = State.STORED,
        reported: Reported | None = None,
    ) -> Order:
        """Write the row of a lost order again.

        Args:
            values: Its columns.
            order_id: Its earlier number, used again if it is free; None where it is unknown.
            actor: Who restores it, for the journal.
            source: Where the values come from, for the journal.
            state: The state of the order.
            reported: The event that Dagster has of it; without one the next run reports it.

        Raises:
            TaskOwnedError: Another order has its task.
            StaleOrderError: The order has a row again.
        """
        identity = ("fingerprint", "take", "attempt")
        with self._database.writing() as connection:

            def existing(*conditions: sa.ColumnElement[bool]) -> int | None:
                return connection.scalar(sa.select(orders.c.order_id).where(*conditions))

            task_id = values.get("task_id")
            owner = None if task_id is None else existing(orders.c.task_id == task_id)
            if owner is not None:
                msg = f"task {task_id} belongs to order {owner}"
                raise TaskOwnedError(msg)
            if existing(*(orders.c[name] == values[name] for name in identity)) is not None:
                where = f"{values['prompt_set']}/{values['partition']}"
                msg = f"attempt {values['attempt']} of {where} has a row again"
                raise StaleOrderError(msg)
            if order_id is not None and existing(orders.c.order_id == order_id) is None:
                values = {**values, "order_id": order_id}
            detail = {"restored_from": source} | {name: values.get(name) for name in _JOURNALED}
            now = self._clock()
            order = insert_order(connection, state, values, actor=actor, at=now, detail=detail)
            link = Link(order.prompt_set, order.partition, order.order_id, reported)
            link_orders(connection, [link], at=now)
            # A link outlives a row that a person deleted.
            connection.execute(
                links.update()
                .where(
                    links.c.order_id == order.order_id,
                    links.c.prompt_set == order.prompt_set,
                    links.c.partition == order.partition,
                )
                .values(reported=reported)
            )
            return order
