"""What an audit asks and mends: orders whose row is gone, and steps back from the lifecycle's end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.ledger.rows import move, to_order, write_journal
from seedance_dagster.ledger.schema import journal, orders

_TOLD = ("task_id", "video_key", "points_charged")  # of a transition, in the journal


@dataclass(frozen=True)
class MissingOrder:
    """What the journal still tells of an order that has no row any more.

    Attributes:
        order_id: Its number.
        at: When it was accepted (UTC).
        task_id: The vendor's task; None where none was made.
        video_key: Where its video went; None where it came to none.
        points_charged: What it was charged, in points; None where the vendor did not tell.
    """

    order_id: int
    at: datetime
    task_id: str | None = None
    video_key: str | None = None
    points_charged: int | None = None


class Repairs(LedgerPart):
    """The part of the ledger that audits work with."""

    def missing_orders(self) -> list[MissingOrder]:
        """Orders that the journal knows and the ledger does not: somebody took their rows out."""
        kept = sa.exists().where(orders.c.order_id == journal.c.order_id)
        query = sa.select(journal).where(~kept).order_by(journal.c.entry_id)
        found: dict[int, MissingOrder] = {}
        with self._database.reading() as connection:
            for entry in connection.execute(query):
                known = found.get(entry.order_id, MissingOrder(entry.order_id, entry.at))
                told = {name: entry.detail[name] for name in _TOLD if entry.detail.get(name)}
                found[entry.order_id] = replace(known, **told)
        return list(found.values())

    def fetch_again(self, order: Order, *, actor: str, video_url: str, reason: str) -> Order:
        """What lies in S3 is lost or damaged: the next run fetches the video anew and tells Dagster of it.

        Args:
            order: A stored order.
            actor: Who says so.
            video_url: The vendor's present link.
            reason: What was found, for the journal.

        Raises:
            StaleOrderError: The order moved on.
        """
        now = self._clock()
        again = {
            "video_url": video_url,
            "transfer_failures": 0,
            "due_at": now,
            "reported": Reported.SUBMITTED,
        }
        with self._database.writing() as connection:
            return move(
                connection,
                order,
                State.SUCCEEDED,
                actor=actor,
                at=now,
                changes=again,
                detail={"reason": reason},
            )

    def note_repair(self, order: Order, *, actor: str, what: str) -> Order:
        """Journal that something beside a stored video was mended, such as its manifest.

        Raises:
            StaleOrderError: The order moved on.
        """
        with self._database.writing() as connection:
            return move(
                connection,
                order,
                State.STORED,
                actor=actor,
                at=self._clock(),
                changes={},
                detail={"repaired": what},
            )

    def restore(self, values: Mapping[str, Any], *, order_id: int | None, actor: str, source: str) -> Order:
        """Write the row of a stored order again.

        Args:
            values: Its columns.
            order_id: Its earlier number, taken again if it is free; None where nobody knows it.
            actor: Who does it.
            source: Where the values come from, for the journal.

        Raises:
            TaskOwnedError: Another order has its task.
            StaleOrderError: There is such an order again.
        """
        same = [
            orders.c[name] == values[name] for name in ("prompt_set", "partition", "fingerprint", "attempt")
        ]
        with self._database.writing() as connection:
            owner = connection.scalar(
                sa.select(orders.c.order_id).where(orders.c.task_id == values["task_id"])
            )
            if owner is not None:
                msg = f"task {values['task_id']} belongs to order {owner}"
                raise TaskOwnedError(msg)
            if connection.scalar(sa.select(orders.c.order_id).where(*same)) is not None:
                where = f"{values['prompt_set']}/{values['partition']}"
                msg = f"attempt {values['attempt']} of {where} is there again"
                raise StaleOrderError(msg)
            number = {} if order_id is None or _taken(connection, order_id) else {"order_id": order_id}
            row = connection.execute(
                orders.insert().values(state=State.STORED, **values, **number).returning(orders)
            ).one()
            order = to_order(row)
            detail = {"restored_from": source} | {name: getattr(order, name) for name in _TOLD}
            write_journal(connection, order, None, actor=actor, at=self._clock(), detail=detail)
        return order


def _taken(connection: sa.Connection, order_id: int) -> bool:
    return connection.scalar(sa.select(orders.c.order_id).where(orders.c.order_id == order_id)) is not None
