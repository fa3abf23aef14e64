"""The queue: the orders that are claimed next; the prompt sets take turns."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import occupies_slot, orders
from seedance_dagster.ledger.work.leases import is_due_in_queue

_FEW = 500  # ids that fit into a statement; with more, the result is filtered in Python


@dataclass(frozen=True, order=True)
class _Share:
    """The share of one prompt set in the tasks at the vendor."""

    in_flight: int
    last_claim: datetime
    prompt_set: str


def count_in_flight(connection: sa.Connection) -> int:
    """Return the number of tasks that are, or may be, at the vendor, as the caller's transaction sees it."""
    return int(connection.scalar(sa.select(sa.func.count()).where(occupies_slot)) or 0)


def any_due(connection: sa.Connection, now: datetime, only: Collection[int] | None) -> bool:
    """Return True when a queued order is due; with `only`, one of these ids."""
    return bool(select_ids(connection, _due(now), limit=1, only=only))


def next_in_turn(
    connection: sa.Connection, now: datetime, limit: int, only: Collection[int] | None
) -> list[int]:
    """Return the ids of the queued orders whose turn it is.

    The set with the fewest orders at the vendor comes first, then the one that has waited longest since its
    last claim, so that slots that come free one by one are shared as fairly as many at once. Within a set,
    the oldest order comes first.
    """
    shares = sorted(_shares(connection, now))
    if only is None and len(shares) > limit:
        # Each of the first sets has an order before those of the others.
        last = shares[limit - 1]
        behind = (last.in_flight, last.last_claim)
        shares = [share for share in shares if (share.in_flight, share.last_claim) <= behind]
    turns: list[tuple[int, datetime, int]] = []
    for share in shares:
        of_set = _due(now).where(orders.c.prompt_set == share.prompt_set).order_by(orders.c.order_id)
        turns += [
            (share.in_flight + turn, share.last_claim, order_id)
            for turn, order_id in enumerate(select_ids(connection, of_set, limit=limit, only=only), 1)
        ]
    return [order_id for _, _, order_id in heapq.nsmallest(limit, turns)]


def in_one_statement(only: Collection[int] | None) -> bool:
    """Return True where all of the ids fit into a statement."""
    return only is None or len(only) <= _FEW


def select_ids(
    connection: sa.Connection, query: sa.Select[Any], *, limit: int, only: Collection[int] | None
) -> list[int]:
    """Return the first ids of orders that a query selects; with `only`, from these ids."""
    if only is None or in_one_statement(only):
        restricted = query if only is None else query.where(orders.c.order_id.in_(only))
        return list(connection.scalars(restricted.limit(limit)))
    allowed = frozenset(only)
    with connection.scalars(query) as result:
        return list(islice((order_id for order_id in result if order_id in allowed), limit))


def _due(now: datetime) -> sa.Select[Any]:
    return sa.select(orders.c.order_id).where(orders.c.state == State.QUEUED, is_due_in_queue(now))


def _shares(connection: sa.Connection, now: datetime) -> list[_Share]:
    """Return the shares of the sets that have due orders."""
    sets = (
        sa.select(orders.c.prompt_set)
        .where(orders.c.state == State.QUEUED, is_due_in_queue(now))
        .distinct()
        .subquery()
    )
    last_claim = (
        sa.select(sa.func.max(orders.c.claimed_at))
        .where(orders.c.prompt_set == sets.c.prompt_set)
        .scalar_subquery()
    )
    flying = sa.select(orders.c.prompt_set, sa.func.count()).where(occupies_slot)
    rows = connection.execute(flying.group_by(orders.c.prompt_set)).all()
    in_flight = {name: int(count) for name, count in rows}
    never = datetime.min.replace(tzinfo=UTC)
    return [
        _Share(in_flight.get(name, 0), claimed_at or never, name)
        for name, claimed_at in connection.execute(sa.select(sets.c.prompt_set, last_claim))
    ]
