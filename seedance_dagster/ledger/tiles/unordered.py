"""Partitions that have no order yet."""

from __future__ import annotations

import sqlalchemy as sa

from seedance_dagster.ledger.partitions import same_partition
from seedance_dagster.ledger.tables.schema import links, partitions
from seedance_dagster.ledger.tiles.filter import Stage, TileFilter
from seedance_dagster.ledger.tiles.order import Cursor
from seedance_dagster.ledger.tiles.text import names


def lacks_order() -> sa.ColumnElement[bool]:
    """Select partitions that are in a file and have no order; for a query on `partitions`."""
    has_order = sa.exists().where(same_partition(links, partitions)).correlate(partitions)
    return sa.and_(partitions.c.removed_at.is_(None), ~has_order)


def select_unordered(
    tile_filter: TileFilter, after: Cursor | None, limit: int
) -> sa.Select[tuple[object, ...]]:
    """Select the partitions without an order that match a filter, the last name first.

    They come after all tiles with an order, since their cursors have the order 0.
    """
    query = sa.select(partitions).where(lacks_order())
    key = (partitions.c.prompt_set, partitions.c.partition)
    if after is not None and after.order_id == 0:
        query = query.where(sa.tuple_(*key) < sa.tuple_(after.prompt_set, after.partition))
    if tile_filter.prompt_set:
        query = query.where(partitions.c.prompt_set == tile_filter.prompt_set)
    for name, value in tile_filter.tags.items():
        query = query.where(partitions.c.tags[name].as_string() == value)
    if tile_filter.text:
        query = query.where(names(tile_filter.text))
    return query.order_by(*(column.desc() for column in key)).limit(limit)


def may_be_unordered(tile_filter: TileFilter) -> bool:
    """Return False for a filter by something that only an order has."""
    of_orders = (
        tile_filter.models,
        tile_filter.verdicts,
        tile_filter.since,
        tile_filter.until,
        tile_filter.scores,
    )
    priced = (tile_filter.min_points, tile_filter.max_points)
    by_stage = not tile_filter.stages or Stage.NOT_ORDERED in tile_filter.stages
    return by_stage and not any(of_orders) and all(points is None for points in priced)
