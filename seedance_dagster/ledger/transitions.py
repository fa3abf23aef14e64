"""The lifecycle of an order: its transition table, and the only writes that create or move an order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.schema import NO_LEASE, journal, orders, to_order

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
"""Legal next states of each state."""

# Built once: SQLAlchemy takes as long to build a statement with values as the database to run it.
_INSERT = orders.insert().returning(orders)
_JOURNAL = journal.insert()


def next_number(connection: sa.Connection, fingerprint: str, take: int) -> int:
    """Return the number of the next attempt at a take of a request, in whatever scope."""
    newest = sa.select(sa.func.max(orders.c.attempt)).where(
        orders.c.fingerprint == fingerprint, orders.c.take == take
    )
    return 1 + (connection.scalar(newest) or 0)


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
    return order


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
        actor: Who moves it, for the journal.
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
    row = connection.execute(
        orders.update()
        .where(
            orders.c.order_id == order.order_id,
            orders.c.state == order.state,
            orders.c.lease_owner.is_not_distinct_from(order.lease_owner),
            orders.c.claimed_at.is_not_distinct_from(order.claimed_at),
        )
        .values(state=to, **{**NO_LEASE, **changes, **ended})
        .returning(orders)
    ).one_or_none()
    if row is None:
        msg = f"order {order.order_id} is no longer {order.state} under the lease of {order.lease_owner}"
        raise StaleOrderError(msg)
    moved = to_order(row)
    _append_journal(connection, moved, order.state, actor=actor, at=at, detail=detail)
    return moved


def _append_journal(
    connection: sa.Connection,
    order: Order,
    from_state: State | None,
    *,
    actor: str,
    at: datetime,
    detail: Mapping[str, Any],
) -> None:
    entry = {
        "order_id": order.order_id,
        "at": at,
        "actor": actor,
        "from_state": from_state,
        "to_state": order.state,
        "detail": dict(detail),
    }
    connection.execute(_JOURNAL, entry)
