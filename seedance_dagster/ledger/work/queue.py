"""The queue: the orders that are claimed next; the prompt sets take turns."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import occupies_slot, orders
from seedance_dagster.ledger.work.leases import IS_DUE_IN_QUEUE, due_times

_FEW = 500  # ids that fit into a statement; with more, the result is filtered in Python

# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_COUNT_IN_FLIGHT = sa.select(sa.func.count()).where(occupies_slot)
_IN_FLIGHT_BY_SET = (
    sa.select(orders.c.prompt_set, sa.func.count()).where(occupies_slot).group_by(orders.c.prompt_set)
)
_DUE = sa.select(orders.c.order_id).where(orders.c.state == State.QUEUED, IS_DUE_IN_QUEUE)
_DUE_OF_SET = _DUE.where(orders.c.prompt_set == sa.bindparam("of_set")).order_by(orders.c.order_id)
_DUE_SETS = (
    sa.select(orders.c.prompt_set)
    .where(orders.c.state == State.QUEUED, IS_DUE_IN_QUEUE)
    .distinct()
    .subquery()
)
_LAST_CLAIMS = sa.select(
    _DUE_SETS.c.prompt_set,
    sa.select(sa.func.max(orders.c.claimed_at))
    .where(orders.c.prompt_set == _DUE_SETS.c.prompt_set)
    .scalar_subquery(),
)


@dataclass(frozen=True, order=True)
class _Share:
    """The share of one prompt set in the tasks at the vendor."""

    in_flight: int
    last_claim: datetime
    prompt_set: str


def count_in_flight(connection: sa.Connection) -> int:
    """Return the number of tasks that are, or may be, at the vendor, as the caller's transaction sees it."""
    return int(connection.scalar(_COUNT_IN_FLIGHT) or 0)


def any_due(connection: sa.Connection, now: datetime, only: Collection[int] | None) -> bool:
    """Return True when a queued order is due; with `only`, one of these ids."""
    return bool(select_ids(connection, _DUE, due_times(now), limit=1, only=only))


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
        due = {"of_set": share.prompt_set, **due_times(now)}
        ids = select_ids(connection, _DUE_OF_SET, due, limit=limit, only=only)
        turns += [
            (share.in_flight + turn, share.last_claim, order_id) for turn, order_id in enumerate(ids, 1)
        ]
    return [order_id for _, _, order_id in heapq.nsmallest(limit, turns)]


def in_one_statement(only: Collection[int] | None) -> bool:
    """Return True where all of the ids fit into a statement."""
    return only is None or len(only) <= _FEW


def select_ids(
    connection: sa.Connection,
    query: sa.Select[Any],
    parameters: Mapping[str, Any],
    *,
    limit: int,
    only: Collection[int] | None,
) -> list[int]:
    """Return the first ids of orders that a query selects; with `only`, from these ids."""
    if only is None or in_one_statement(only):
        chosen = {} if only is None else {"only": list(only)}
        first = _first(query, restricted=only is not None)
        return list(connection.scalars(first, {**parameters, **chosen, "limit": limit}))
    allowed = frozenset(only)
    with connection.scalars(query, parameters) as result:
        return list(islice((order_id for order_id in result if order_id in allowed), limit))


@cache
def _first(query: sa.Select[Any], *, restricted: bool) -> sa.Select[Any]:
    if restricted:
        query = query.where(orders.c.order_id.in_(sa.bindparam("only", expanding=True)))
    return query.limit(sa.bindparam("limit", type_=sa.Integer))


def _shares(connection: sa.Connection, now: datetime) -> list[_Share]:
    """Return the shares of the sets that have due orders."""
    in_flight = {name: int(count) for name, count in connection.execute(_IN_FLIGHT_BY_SET)}
    never = datetime.min.replace(tzinfo=UTC)
    return [
        _Share(in_flight.get(name, 0), claimed_at or never, name)
        for name, claimed_at in connection.execute(_LAST_CLAIMS, due_times(now))
    ]
