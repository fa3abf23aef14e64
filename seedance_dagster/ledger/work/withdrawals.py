"""Withdrawals: queued orders that nobody wants any more end before they are sent, and cost nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import WITHDRAWN, Order, State
from seedance_dagster.ledger.partitions import asks_for, same_partition
from seedance_dagster.ledger.tables.columns import Unindexed
from seedance_dagster.ledger.tables.schema import links, orders, other_orders, partitions, to_order
from seedance_dagster.ledger.transitions import transition

REMOVAL_GRACE = timedelta(seconds=60)
"""A prompt that has left its file for less than this may have been in a half-written file."""

_UNWANTED = "its prompt was edited or removed, or its draft is no longer accepted, before it was sent"


def keep_wanted(
    connection: sa.Connection,
    queued: Iterable[Order],
    *,
    actor: str,
    at: datetime,
    grace: timedelta = REMOVAL_GRACE,
) -> list[Order]:
    """Return the queued orders that are still wanted, and withdraw the others, in the caller's transaction.

    An order is wanted while a partition of any set asks for its take of its request, with or without the
    watermark, or while the ledger does not know the request of a partition that is linked to it. An order
    whose prompt was just removed is neither returned nor withdrawn: it waits.
    """
    candidates = list(queued)
    wanted, just_removed = set[int](), set[int]()
    for chunk in chunked(order.order_id for order in candidates):
        wanted.update(connection.scalars(_WANTED, {"ids": chunk}))
    for chunk in chunked(order.order_id for order in candidates if order.order_id not in wanted):
        just_removed.update(connection.scalars(_JUST_REMOVED, {"ids": chunk, "since": at - grace}))
    withdrawn = set[int]()
    for order in candidates:
        if order.order_id in wanted | withdrawn:
            continue
        if order.order_id in just_removed:
            # A removal that waits for its source goes on waiting for it.
            due = (orders.c.order_id == order.order_id, orders.c.due_at.is_not(None))
            connection.execute(orders.update().where(*due).values(due_at=at + grace))
        else:
            ended = withdraw(connection, order, actor=actor, at=at, reason=_UNWANTED)
            withdrawn |= {ended_order.order_id for ended_order in ended}
    return [order for order in candidates if order.order_id in wanted]


def withdraw(
    connection: sa.Connection, order: Order, *, actor: str, at: datetime, reason: str
) -> list[Order]:
    """End a queued order and those that wait for its video, in the caller's transaction; return them.

    Their reservations are freed.
    """
    ended = transition(
        connection,
        order,
        State.FAILED,
        actor=actor,
        at=at,
        changes={"error_class": WITHDRAWN, "error_message": reason, "due_at": None},
        detail={"error_class": WITHDRAWN, "reason": reason},
    )
    return [ended, *withdraw_removals(connection, ended, actor=actor, at=at)]


def withdraw_removals(connection: sa.Connection, source: Order, *, actor: str, at: datetime) -> list[Order]:
    """End the queued removals of the watermark of a video that will not be made, and return them."""
    waiting = sa.select(orders).where(
        orders.c.source_order_id == source.order_id, orders.c.state == State.QUEUED
    )
    reason = f"order {source.order_id}, which was to render its video, ended: {source.error_message}"
    return [
        order
        for removal in map(to_order, connection.execute(waiting).all())
        for order in withdraw(connection, removal, actor=actor, at=at, reason=reason)
    ]


class Withdrawals(LedgerPart):
    """The part of the ledger that ends queued orders."""

    def unwanted(self, prompt_sets: Collection[str], *, actor: str, grace: timedelta = REMOVAL_GRACE) -> None:
        """Withdraw the queued orders of partitions that are no longer wanted.

        Args:
            prompt_sets: The sets of the partitions.
            actor: Who asks, for the journal.
            grace: An order whose prompt was removed less than this ago waits.
        """
        for chunk in chunked(prompt_sets):
            self._unwanted(chunk, actor=actor, grace=grace)

    def _unwanted(self, prompt_sets: list[str], *, actor: str, grace: timedelta) -> None:
        doubtful = (
            sa.select(links.c.order_id)
            .join(partitions, same_partition(partitions, links))
            .where(
                Unindexed(links.c.prompt_set).in_(prompt_sets),  # found by the order, not by the whole set
                links.c.order_id == orders.c.order_id,
                sa.or_(~asks_for(), partitions.c.removed_at.is_not(None)),
            )
            .correlate(orders)
        )
        query = sa.select(orders).where(orders.c.state == State.QUEUED, doubtful.exists())
        with self._database.reading() as connection:
            # Checked first without the writer's lock: files are read often and change rarely.
            if connection.execute(query.limit(1)).first() is None:
                return
        with self._database.writing() as connection:
            queued = list(map(to_order, connection.execute(query)))
            keep_wanted(connection, queued, actor=actor, at=self._clock(), grace=grace)

    def cancel(self, prompt_set: str | None, partition: str | None, *, actor: str) -> list[Order]:
        """Withdraw the queued orders of a partition, of a set, or all, by hand; return them."""
        query = sa.select(orders).where(orders.c.state == State.QUEUED).order_by(orders.c.order_id)
        if prompt_set is not None:
            of_set = sa.select(links.c.order_id).where(links.c.prompt_set == prompt_set)
            if partition is not None:
                of_set = of_set.where(links.c.partition == partition)
            query = query.where(orders.c.order_id.in_(of_set))
        now, reason = self._clock(), f"cancelled by {actor}"
        withdrawn: dict[int, Order] = {}
        with self._database.writing() as connection:
            for order in map(to_order, connection.execute(query).all()):
                if order.order_id not in withdrawn:
                    ended = withdraw(connection, order, actor=actor, at=now, reason=reason)
                    withdrawn |= {ended_order.order_id: ended_order for ended_order in ended}
        return list(withdrawn.values())


def _asked(while_: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Select orders whose video a partition asks for, with or without its watermark."""
    removal = other_orders
    is_its_removal = (removal.c.source_order_id == orders.c.order_id, removal.c.state == State.QUEUED)
    return sa.or_(
        sa.exists().where(asks_for(), while_).correlate(orders),
        sa.exists().where(asks_for(order=removal), *is_its_removal, while_).correlate(orders),
    )


def _is_unknown() -> sa.ColumnElement[bool]:
    """Select orders of no partition, or of one that no file was read for since the ledger began."""
    is_known = sa.exists().where(same_partition(partitions, links)).correlate(links)
    has_link = sa.exists().where(links.c.order_id == orders.c.order_id)
    return sa.or_(
        ~has_link.correlate(orders),
        sa.exists().where(links.c.order_id == orders.c.order_id, ~is_known).correlate(orders),
    )


# Built once: SQLAlchemy takes longer to build such statements than the database to run them.
_ORDERS = sa.select(orders.c.order_id).where(orders.c.order_id.in_(sa.bindparam("ids", expanding=True)))
_WANTED = _ORDERS.where(sa.or_(_asked(partitions.c.removed_at.is_(None)), _is_unknown()))
_JUST_REMOVED = _ORDERS.where(_asked(partitions.c.removed_at > sa.bindparam("since")))
