"""The order of the gallery's tiles and the positions of pages in it, as parts of queries."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import links, orders
from seedance_dagster.ledger.tables.scores import score_values
from seedance_dagster.ledger.tiles.filter import COST

_PARTITION = (links.c.order_id, links.c.prompt_set, links.c.partition)


class TileOrder(NamedTuple):
    """An order of tiles: the newest order first, or sorted by a number of each video.

    Attributes:
        by: "", "cost" or "scores.NAME".
        descending: The highest number first.
    """

    by: str = ""
    descending: bool = True

    @property
    def score(self) -> str:
        """The name of the score that tiles are sorted by; empty for none."""
        return self.by.removeprefix(_SCORES) if self.by.startswith(_SCORES) else ""


_SCORES = "scores."

NEWEST_FIRST = TileOrder()
"""The usual order."""


class Cursor(NamedTuple):
    """The position of a tile in the order of pages.

    Attributes:
        number: The number that it is sorted by; None where the newest order comes first.
    """

    order_id: int
    prompt_set: str
    partition: str
    number: float | None = None


def number_of(order: TileOrder) -> sa.ColumnElement[Any]:
    """Return the number that a query's tiles are sorted by; NULL where the newest order comes first."""
    if order.score:
        return score_values.c.value
    return COST if order.by else sa.null()


def select_in_order(
    query: sa.Select[Any], order: TileOrder, after: Cursor | None, limit: int
) -> sa.Select[Any]:
    """Sort a query on `links` and `orders`, and let it begin after a tile.

    Videos with the same number of a score are sorted by their bytes, as the index of numbers is.
    """
    key: list[sa.ColumnElement[Any]] = list(_PARTITION)
    first: sa.ColumnElement[Any] = links.c.order_id
    position: list[Any] = [] if after is None else list(after[:3])
    if order.by:
        query = query.where(orders.c.state == State.STORED)
        first = number_of(order)
        key.insert(0, first)
        position.insert(0, after and after.number)
    if order.score:
        query = query.join(score_values, score_values.c.sha256 == orders.c.sha256)
        query = query.where(score_values.c.name == order.score)
        key.insert(1, score_values.c.sha256)
        other = orders.alias()
        sha256 = sa.select(other.c.sha256).where(other.c.order_id == (after and after.order_id))
        position.insert(1, sha256.scalar_subquery())
    if after is not None:
        # Twice, since a planner uses an index only for the plain comparison.
        row_key, whole = sa.tuple_(*key), sa.tuple_(*position)
        if order.descending:
            query = query.where(first <= position[0], row_key < whole)
        else:
            query = query.where(first >= position[0], row_key > whole)
    return query.order_by(*(column.desc() if order.descending else column.asc() for column in key)).limit(
        limit
    )
