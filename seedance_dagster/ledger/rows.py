"""From rows to orders, and the one way in which an order changes state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import AT_VENDOR, Order, Reported, State
from seedance_dagster.ledger.schema import journal, orders
from seedance_dagster.ledger.transitions import TRANSITIONS


def takes_a_slot() -> sa.ColumnElement[bool]:
    """True for orders that may keep a task active at the vendor; one that only lacks its link does not."""
    return sa.and_(orders.c.state.in_(AT_VENDOR), orders.c.vendor_ended_at.is_(None))


def to_order(row: sa.Row[Any]) -> Order:
    """One row of `orders` as an `Order`."""
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's documented mapping view
    told = None if values["reported"] is None else Reported(values["reported"])
    return Order(**values | {"state": State(values["state"]), "reported": told})


def insert_order(
    connection: sa.Connection,
    values: Mapping[str, Any],
    *,
    actor: str,
    at: datetime,
    booked_at: datetime | None,
    due_at: datetime | None = None,
) -> Order:
    """Insert a queued order, to be sent from `due_at` or at once, and its first journal row."""
    row = connection.execute(
        orders.insert()
        .values(state=State.QUEUED, ordered_at=at, booked_at=booked_at, due_at=due_at or at, **values)
        .returning(orders)
    ).one()
    order = to_order(row)
    write_journal(connection, order, None, actor=actor, at=at, detail={"attempt": order.attempt})
    return order


def move(
    connection: sa.Connection,
    order: Order,
    to: State,
    *,
    actor: str,
    at: datetime,
    changes: Mapping[str, Any],
    detail: Mapping[str, Any] | None = None,
) -> Order:
    """Bring an order into its next state, with its journal row, if it still is as the caller saw it.

    Args:
        connection: A writing transaction.
        order: The order as last read; its state, claim and lease must not have changed since.
        to: The next state.
        actor: Who does it, for the journal.
        at: When, UTC.
        changes: Further columns to set.
        detail: What the journal should say.

    Raises:
        StaleOrderError: The order moved on or its lease is somebody else's; nothing was written.
        ValueError: The lifecycle has no such step.
    """
    if to not in TRANSITIONS[order.state]:
        msg = f"an order cannot go from {order.state} to {to}"
        raise ValueError(msg)
    row = connection.execute(
        orders.update()
        .where(
            orders.c.order_id == order.order_id,
            orders.c.state == order.state,
            orders.c.lease_owner.is_not_distinct_from(order.lease_owner),
            orders.c.claimed_at.is_not_distinct_from(order.claimed_at),
        )
        .values(state=to, **{"lease_owner": None, **changes})
        .returning(orders)
    ).one_or_none()
    if row is None:
        msg = f"order {order.order_id} is no longer {order.state} in the hands of {order.lease_owner}"
        raise StaleOrderError(msg)
    moved = to_order(row)
    write_journal(connection, moved, order.state, actor=actor, at=at, detail=detail or {})
    return moved


def write_journal(
    connection: sa.Connection,
    order: Order,
    from_state: State | None,
    *,
    actor: str,
    at: datetime,
    detail: Mapping[str, Any],
) -> None:
    """Append what just happened to an order."""
    connection.execute(
        journal.insert().values(
            order_id=order.order_id,
            at=at,
            actor=actor,
            from_state=from_state,
            to_state=order.state,
            detail=dict(detail),
        )
    )
