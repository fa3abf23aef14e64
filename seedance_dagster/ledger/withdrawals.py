"""Withdrawals: queued orders that nobody wants any more end before they are sent, and cost nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import WITHDRAWN, Order, State
from seedance_dagster.ledger.partitions import asks_for, same_partition
from seedance_dagster.ledger.schema import links, orders, partitions, to_order
from seedance_dagster.ledger.transitions import transition

REMOVAL_GRACE = timedelta(seconds=60)
"""A prompt that left its file for less than this may have been in a file that was half written."""

_UNWANTED = "its prompt was edited or removed before it was sent"


def keep_wanted(
    connection: sa.Connection, queued: Iterable[Order], *, actor: str, at: datetime
) -> list[Order]:
    """Return the queued orders that are still wanted, and withdraw the others, in the caller's transaction.

    An order is wanted while a partition, of whatever set, asks for its take of its request, or while the
    ledger does not know what a partition that was given it asks for. One whose prompt was removed just now is
    neither: it waits.
    """
    candidates = list(queued)
    wanted, lately = set[int](), set[int]()
    for chunk in chunked(order.order_id for order in candidates):
        wanted.update(connection.scalars(_select(chunk).where(sa.or_(_is_asked_for(), _is_unknown()))))
        lately.update(connection.scalars(_select(chunk).where(_was_asked_for(at - REMOVAL_GRACE))))
    for order in candidates:
        if order.order_id in wanted:
            continue
        if order.order_id in lately:
            later = orders.update().where(orders.c.order_id == order.order_id)
            connection.execute(later.values(due_at=at + REMOVAL_GRACE))
        else:
            withdraw(connection, order, actor=actor, at=at, reason=_UNWANTED)
    return [order for order in candidates if order.order_id in wanted]


def withdraw(connection: sa.Connection, order: Order, *, actor: str, at: datetime, reason: str) -> Order:
    """End a queued order, in the caller's transaction; its reservation is freed."""
    return transition(
        connection,
        order,
        State.FAILED,
        actor=actor,
        at=at,
        changes={"error_class": WITHDRAWN, "error_message": reason, "due_at": None},
        detail={"error_class": WITHDRAWN, "reason": reason},
    )


class Withdrawals(LedgerPart):
    """The part of the ledger that ends queued orders."""

    def unwanted(self, prompt_set: str, *, actor: str) -> None:
        """Withdraw the queued orders of a set's partitions that are not wanted any more."""
        doubtful = (
            sa.select(links.c.order_id)
            .join(partitions, same_partition(partitions, links))
            .where(
                links.c.prompt_set == prompt_set,
                links.c.order_id == orders.c.order_id,
                sa.or_(~asks_for(), partitions.c.removed_at.is_not(None)),
            )
            .correlate(orders)
        )
        given = sa.select(orders).where(orders.c.state == State.QUEUED, doubtful.exists())
        with self._database.reading() as connection:
            # Checked first without the writer's lock: files are read often and change rarely.
            if connection.execute(given.limit(1)).first() is None:
                return
        with self._database.writing() as connection:
            queued = list(map(to_order, connection.execute(given)))
            keep_wanted(connection, queued, actor=actor, at=self._clock())

    def cancel(self, prompt_set: str | None, partition: str | None, *, actor: str) -> list[Order]:
        """Withdraw queued orders by hand: of a partition, a set, or all; return them."""
        query = sa.select(orders).where(orders.c.state == State.QUEUED).order_by(orders.c.order_id)
        if prompt_set is not None:
            of_set = sa.select(links.c.order_id).where(links.c.prompt_set == prompt_set)
            if partition is not None:
                of_set = of_set.where(links.c.partition == partition)
            query = query.where(orders.c.order_id.in_(of_set))
        now, reason = self._clock(), f"cancelled by {actor}"
        with self._database.writing() as connection:
            return [
                withdraw(connection, order, actor=actor, at=now, reason=reason)
                for order in map(to_order, connection.execute(query).all())
            ]


def _select(order_ids: list[int]) -> sa.Select[tuple[int]]:
    return sa.select(orders.c.order_id).where(orders.c.order_id.in_(order_ids))


def _is_asked_for() -> sa.ColumnElement[bool]:
    return sa.exists().where(asks_for(), partitions.c.removed_at.is_(None)).correlate(orders)


def _was_asked_for(since: datetime) -> sa.ColumnElement[bool]:
    return sa.exists().where(asks_for(), partitions.c.removed_at > since).correlate(orders)


def _is_unknown() -> sa.ColumnElement[bool]:
    """Select orders of a partition that no file was read for since the ledger began, or of none."""
    known = sa.exists().where(same_partition(partitions, links)).correlate(links)
    given = sa.exists().where(links.c.order_id == orders.c.order_id)
    return sa.or_(
        ~given.correlate(orders),
        sa.exists().where(links.c.order_id == orders.c.order_id, ~known).correlate(orders),
    )
