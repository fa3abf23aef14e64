"""The lifecycle of an order: its transition table, and the only writes that create or move an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.changes import note_order
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import ENDED, OPEN, NewOrder, Order, State
from seedance_dagster.ledger.tables.schema import NO_LEASE, journal, orders, to_order

TRANSITIONS: dict[State, frozenset[State]] = {
    # Failed before the POST left: an invalid request never becomes valid.
    State.QUEUED: frozenset({State.CLAIMED, State.FAILED}),
    # Queued again, rejected or failed when the POST was refused; uncertain when its reply was lost.
    State.CLAIMED: frozenset({State.SUBMITTED, State.QUEUED, State.UNCERTAIN, State.REJECTED, State.FAILED}),
    # Adopted from the vendor's history, requeued because no task was made, or ended by a person. Stays
    # uncertain in a restored ledger, which does not know when it was sent.
    State.UNCERTAIN: frozenset({State.SUBMITTED, State.QUEUED, State.FAILED, State.UNCERTAIN}),
    State.SUBMITTED: frozenset({State.SUCCEEDED, State.REJECTED, State.FAILED}),
    # Stays succeeded when a transfer fails; failed only when a person ends it.
    State.SUCCEEDED: frozenset({State.STORED, State.SUCCEEDED, State.FAILED}),
    # Fetched again when its objects in S3 are lost; stays stored when only its manifest or event is repaired.
    State.STORED: frozenset({State.SUCCEEDED, State.STORED}),
    # A person books a charge that the vendor never reported.
    State.REJECTED: frozenset({State.REJECTED}),
    State.FAILED: frozenset({State.FAILED}),
}
"""The next states that each state allows."""

# Built once: SQLAlchemy takes as long to build a statement with values as the database to run it.
_INSERT = orders.insert().returning(orders)
_INSERT_ALL = orders.insert()
_JOURNAL = journal.insert()
_NEWEST = sa.select(sa.func.max(orders.c.attempt)).where(
    orders.c.fingerprint == sa.bindparam("of_fingerprint"), orders.c.take == sa.bindparam("of_take")
)
_LAST_ID = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :table")
_MOVE = (
    orders.update()
    .where(
        orders.c.order_id == sa.bindparam("of_order_id"),
        orders.c.state == sa.bindparam("of_state"),
        orders.c.lease_owner.is_not_distinct_from(sa.bindparam("of_owner")),
        orders.c.claimed_at.is_not_distinct_from(sa.bindparam("of_claim")),
    )
    .returning(orders)
)

_MOVE_ALL = (
    orders.update()
    .where(
        orders.c.order_id.in_(sa.bindparam("ids", expanding=True)),
        orders.c.state == sa.bindparam("of_state"),
    )
    .returning(orders)
)

_PLACED = (
    *(field.name for field in fields(NewOrder)),
    *("order_id", "attempt", "state", "idempotency_key", "run_id", "job_name", "run_tags"),
    *("ordered_at", "booked_at", "due_at", "source_order_id"),
)
"""The columns that an order has when it is placed."""


def next_number(connection: sa.Connection, fingerprint: str, take: int) -> int:
    """Return the number of the next attempt at a take of a request, in any scope."""
    newest = connection.scalar(_NEWEST, {"of_fingerprint": fingerprint, "of_take": take})
    return 1 + (newest or 0)


def insert_order(
    connection: sa.Connection,
    state: State,
    values: Mapping[str, Any],
    *,
    actor: str,
    at: datetime,
    detail: Mapping[str, Any],
) -> Order:
    """Insert an order and its first journal row."""
    row = connection.execute(_INSERT, {**values, "state": state}).one()
    order = to_order(row)
    _append_journal(connection, order, None, actor=actor, at=at, detail=detail)
    _note_change(connection, order, None)
    return order


def insert_orders(
    connection: sa.Connection, placed: Sequence[Order], *, actor: str, at: datetime
) -> dict[int, Order]:
    """Insert orders that were just placed, each with its first journal row.

    Args:
        connection: A writing transaction.
        placed: The orders with provisional ids; a removal may name its source by such an id.
        actor: Who places them, for the journal.
        at: When, UTC.

    Returns:
        The orders as they are in the ledger, by their provisional ids.
    """
    if not placed:
        return {}
    numbers = _next_order_ids(connection, len(placed))
    final: dict[int | None, int] = {
        order.order_id: number for order, number in zip(placed, numbers, strict=True)
    }
    inserted = {
        order.order_id: replace(
            order,
            order_id=final[order.order_id],
            source_order_id=final.get(order.source_order_id, order.source_order_id),
        )
        for order in placed
    }
    rows = [{name: getattr(order, name) for name in _PLACED} for order in inserted.values()]
    connection.execute(_INSERT_ALL, rows)
    entries = [
        _journal_entry(order, None, actor=actor, at=at, detail={"attempt": order.attempt})
        for order in inserted.values()
    ]
    connection.execute(_JOURNAL, entries)
    for order in inserted.values():
        _note_change(connection, order, None)
    return inserted


def _next_order_ids(connection: sa.Connection, count: int) -> list[int]:
    """Return the ids that the next orders would get; no other writer may overlap."""
    if connection.dialect.name == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(orders.name, orders.c.order_id.name)
        series = sa.func.generate_series(1, count).table_valued("number")
        return list(connection.scalars(sa.select(sa.func.nextval(sequence)).select_from(series)))
    last = connection.scalar(_LAST_ID, {"table": orders.name}) or 0
    return list(range(last + 1, last + 1 + count))


def transition(
    connection: sa.Connection,
    order: Order,
    to: State,
    *,
    actor: str,
    at: datetime,
    changes: Mapping[str, Any],
    detail: Mapping[str, Any],
) -> Order:
    """Move an order to its next state, with a journal row, if it still is as the caller read it.

    Args:
        connection: A writing transaction.
        order: The order as last read; its state, claim and lease must not have changed since.
        to: The next state.
        actor: Who moves the order, for the journal.
        at: When, UTC.
        changes: More columns to set. The lease ends unless they set another.
        detail: More for the journal.

    Raises:
        StaleOrderError: The order moved on or is under another lease; nothing was written.
        ValueError: The lifecycle has no such transition.
    """
    if to not in TRANSITIONS[order.state]:
        msg = f"an order cannot go from {order.state} to {to}"
        raise ValueError(msg)
    ended = {"ended_at": at} if to in {State.REJECTED, State.FAILED} else {}
    condition = {
        "of_order_id": order.order_id,
        "of_state": order.state,
        "of_owner": order.lease_owner,
        "of_claim": order.claimed_at,
    }
    values = {"state": to, **NO_LEASE, **changes, **ended}
    row = connection.execute(_MOVE, {**condition, **values}).one_or_none()
    if row is None:
        owner = order.lease_owner
        how = f" under the lease of {owner}" if owner else ", or another process works on it now"
        raise StaleOrderError(f"order {order.order_id} is no longer {order.state}{how}")
    moved = to_order(row)
    _append_journal(connection, moved, order.state, actor=actor, at=at, detail=detail)
    _note_change(connection, moved, order.state)
    return moved


def transition_all(
    connection: sa.Connection,
    moved: Sequence[Order],
    to: State,
    *,
    actor: str,
    at: datetime,
    changes: Mapping[str, Any],
) -> list[Order]:
    """Move orders of one state, read in the same `writing` transaction, to their next state together.

    Raises:
        StaleOrderError: One of them has changed since it was read.
        ValueError: The lifecycle has no such transition.
    """
    if not moved:
        return []
    [state] = {order.state for order in moved}
    if to not in TRANSITIONS[state]:
        msg = f"orders cannot go from {state} to {to}"
        raise ValueError(msg)
    ids = [order.order_id for order in moved]
    condition = {"ids": ids, "of_state": state}
    rows = connection.execute(_MOVE_ALL, {**condition, "state": to, **NO_LEASE, **changes}).all()
    if len(rows) != len(moved):
        raise StaleOrderError(f"some orders are no longer {state}")
    by_id = {order.order_id: order for order in map(to_order, rows)}
    entries = [_journal_entry(by_id[number], state, actor=actor, at=at, detail={}) for number in ids]
    connection.execute(_JOURNAL, entries)
    for order in by_id.values():
        _note_change(connection, order, state)
    return [by_id[number] for number in ids]


def _note_change(connection: sa.Connection, order: Order, before: State | None) -> None:
    """Note the partitions that may show another video now: a stored one, or one that a removal hides.

    Charges without a video are noted as well, since the index of a set shows its spend.
    """
    if State.STORED in (before, order.state) or (order.state in ENDED and order.points_charged):
        note_order(connection, order.order_id)
    if order.source_order_id is not None and (before in OPEN) != (order.state in OPEN):
        note_order(connection, order.source_order_id)


def _append_journal(
    connection: sa.Connection,
    order: Order,
    from_state: State | None,
    *,
    actor: str,
    at: datetime,
    detail: Mapping[str, Any],
) -> None:
    connection.execute(_JOURNAL, _journal_entry(order, from_state, actor=actor, at=at, detail=detail))


def _journal_entry(
    order: Order, from_state: State | None, *, actor: str, at: datetime, detail: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "at": at,
        "actor": actor,
        "from_state": from_state,
        "to_state": order.state,
        "detail": dict(detail),
    }
