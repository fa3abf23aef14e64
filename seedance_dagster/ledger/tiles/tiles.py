"""Tiles: the video or order that each partition shows, newest first, filtered and in pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.partitions import same_partition
from seedance_dagster.ledger.score_results import ScoreValue
from seedance_dagster.ledger.tables.schema import links, orders, partitions, to_order, to_verdict, verdicts
from seedance_dagster.ledger.tiles.filter import (
    COST,
    MODEL,
    STAGE,
    VERDICT,
    Stage,
    TileFilter,
    is_shown,
    tile_conditions,
)
from seedance_dagster.ledger.tiles.order import NEWEST_FIRST, Cursor, TileOrder, number_of, select_in_order
from seedance_dagster.ledger.tiles.unordered import lacks_order, may_be_unordered, select_unordered
from seedance_dagster.ledger.verdict import GivenVerdict, Verdict
from seedance_dagster.ledger.videos import scores_of
from seedance_dagster.prompts.slugs import final_key, without_final

_TILES = links.join(orders, orders.c.order_id == links.c.order_id).outerjoin(
    partitions, same_partition(partitions, links)
)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A partition's video, or the order that stands for it.

    Attributes:
        take: The number of the take, from 1.
        order: None where nothing was ordered yet.
        tags: The prompt's tags, as its file has them now.
        fingerprint: The fingerprint of the partition's current request; None where that is not known.
        verdict: The newest verdict on the video; None where there is none.
        scores: The video's score values, by name.
        number: The number that it was sorted by, if any.
    """

    prompt_set: str
    partition: str
    take: int
    order: Order | None
    tags: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    verdict: GivenVerdict | None = None
    scores: Mapping[str, ScoreValue] = field(default_factory=dict)
    number: float | None = None

    @property
    def prompt_id(self) -> str:
        """Return the partition of the prompt's first take; for a final, that of the first take's final."""
        draft = without_final(self.partition)
        first = draft.removesuffix(f".t{self.take}") if self.take > 1 else draft
        return first if draft == self.partition else final_key(first)

    @property
    def cursor(self) -> Cursor:
        """Return its position in the order of pages."""
        order_id = self.order.order_id if self.order else 0
        return Cursor(order_id, self.prompt_set, self.partition, self.number)


@dataclass(frozen=True)
class TileCount:
    """The number of tiles of one kind, and their cost in points."""

    prompt_set: str
    model: str
    stage: Stage
    verdict: Verdict
    tiles: int
    points: int


class Tiles(LedgerPart):
    """The part of the ledger that the gallery shows."""

    def page(
        self,
        tile_filter: TileFilter,
        *,
        order: TileOrder = NEWEST_FIRST,
        after: Cursor | None = None,
        limit: int = 60,
    ) -> list[Tile]:
        """Return tiles, the newest order first, and after them the partitions without an order.

        Args:
            tile_filter: The filter.
            order: Another order; it returns only videos that have a number to sort by.
            after: The last tile of the previous page; None for the first page.
            limit: The largest number of tiles.
        """
        query = _select(*tile_conditions(tile_filter), is_shown()).add_columns(
            number_of(order).label("number")
        )
        with self._database.reading() as connection:
            rows = connection.execute(select_in_order(query, order, after, limit)).all()
            tiles = _tiles(connection, rows)
            if order.by:
                return [replace(tile, number=row.number) for tile, row in zip(tiles, rows, strict=True)]
            if len(tiles) < limit and may_be_unordered(tile_filter):
                unordered = select_unordered(tile_filter, after, limit - len(tiles))
                tiles += map(_without_order, connection.execute(unordered))
        return tiles

    def of_partitions(self, prompt_set: str, keys: Collection[str]) -> list[Tile]:
        """Return the tiles of those of some partitions that are known, even without an order."""
        by_partition: dict[str, Tile] = {}
        with self._database.reading() as connection:
            for chunk in chunked(keys):
                of_set = (partitions.c.prompt_set == prompt_set, partitions.c.partition.in_(chunk))
                rows = connection.execute(sa.select(partitions).where(*of_set))
                by_partition.update((row.partition, _without_order(row)) for row in rows)
                shown = _select(links.c.prompt_set == prompt_set, links.c.partition.in_(chunk), is_shown())
                tiles = _tiles(connection, connection.execute(shown).all())
                by_partition.update((tile.partition, tile) for tile in tiles)
        return sorted(by_partition.values(), key=lambda tile: tile.take)

    def with_other_takes(self, tiles: Sequence[Tile]) -> list[Tile]:
        """Return tiles, and after them the other takes of their prompts."""
        known = {(tile.prompt_set, tile.partition) for tile in tiles}
        prompts = {(tile.prompt_set, tile.prompt_id) for tile in tiles}
        others: dict[str, dict[str, Tile]] = {}
        with self._database.reading() as connection:
            # All takes of a prompt have the same request.
            for chunk in chunked({tile.fingerprint for tile in tiles if tile.fingerprint}):
                rows = connection.execute(sa.select(partitions).where(partitions.c.fingerprint.in_(chunk)))
                for tile in map(_without_order, rows):
                    is_new = (tile.prompt_set, tile.partition) not in known
                    if is_new and (tile.prompt_set, tile.prompt_id) in prompts:
                        others.setdefault(tile.prompt_set, {})[tile.partition] = tile
            for prompt_set, of_set in others.items():
                for chunk in chunked(list(of_set)):
                    shown = _select(
                        links.c.prompt_set == prompt_set, links.c.partition.in_(chunk), is_shown()
                    )
                    ordered = _tiles(connection, connection.execute(shown).all())
                    of_set.update((tile.partition, tile) for tile in ordered)
        return [*tiles, *(tile for of_set in others.values() for tile in of_set.values())]

    def counts(self, prompt_set: str | None = None) -> list[TileCount]:
        """Return how many tiles there are of each kind, in all sets or in one."""
        columns = (
            links.c.prompt_set.label("prompt_set"),
            MODEL.label("model"),
            STAGE.label("stage"),
            VERDICT.label("verdict"),
            COST.label("points"),
        )
        tiles = sa.select(*columns).select_from(_TILES).where(is_shown())
        if prompt_set is not None:
            tiles = tiles.where(links.c.prompt_set == prompt_set)
        shown = tiles.subquery()
        kinds = [shown.c[name] for name in ("prompt_set", "model", "stage", "verdict")]
        query = sa.select(
            *kinds, sa.func.count().label("tiles"), sa.func.sum(shown.c.points).label("points")
        ).group_by(*kinds)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(*kinds)).all()
        return [
            TileCount(
                prompt_set=row.prompt_set,
                model=row.model,
                stage=Stage(row.stage),
                verdict=Verdict(row.verdict),
                tiles=row.tiles,
                points=int(row.points),
            )
            for row in rows
        ]

    def unordered(self, prompt_set: str | None = None) -> int:
        """Return how many partitions have no order yet, in all sets or in one."""
        query = sa.select(sa.func.count()).select_from(partitions).where(lacks_order())
        if prompt_set is not None:
            query = query.where(partitions.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return int(connection.scalar(query) or 0)

    def tags(self, prompt_set: str) -> dict[str, dict[str, int]]:
        """Return how many partitions of a set have each value of each tag."""
        counts: dict[str, dict[str, int]] = {}
        query = sa.select(partitions.c.tags).where(partitions.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            for tags in connection.scalars(query):
                for name, value in tags.items():
                    values = counts.setdefault(name, {})
                    values[value] = values.get(value, 0) + 1
        return counts


def _select(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = (
        links.c.prompt_set,
        links.c.partition,
        links.c.order_id,
        partitions.c.take,
        partitions.c.tags,
        partitions.c.fingerprint,
    )
    return sa.select(*columns).select_from(_TILES).where(*conditions)


def _without_order(row: sa.Row[Any]) -> Tile:
    return Tile(
        prompt_set=row.prompt_set,
        partition=row.partition,
        take=row.take,
        order=None,
        tags=row.tags,
        fingerprint=row.fingerprint,
    )


def _tiles(connection: sa.Connection, rows: Iterable[sa.Row[Any]]) -> list[Tile]:
    """Return the tiles of rows, with their orders and verdicts."""
    rows = list(rows)
    by_id: dict[int, Order] = {}
    for chunk in chunked({row.order_id for row in rows}):
        selected = connection.execute(sa.select(orders).where(orders.c.order_id.in_(chunk)))
        by_id.update((row.order_id, to_order(row)) for row in selected)
    newest_verdicts = _newest_verdicts(connection, rows)
    measured = scores_of(connection, (order.sha256 for order in by_id.values() if order.sha256))
    tiles = []
    for row in rows:
        order = by_id[row.order_id]
        video = (row.prompt_set, row.partition, order.sha256) if order.state is State.STORED else None
        tiles.append(
            Tile(
                prompt_set=row.prompt_set,
                partition=row.partition,
                take=row.take or order.take,
                order=order,
                tags=order.tags if row.tags is None else row.tags,
                fingerprint=row.fingerprint,
                verdict=newest_verdicts.get(video) if video else None,
                scores=measured.get(str(order.sha256), {}) if video else {},
            )
        )
    return tiles


def _newest_verdicts(
    connection: sa.Connection, rows: Iterable[sa.Row[Any]]
) -> dict[tuple[str, str, str | None], GivenVerdict]:
    """Return the newest verdict on each video of the partitions of rows."""
    keys: dict[str, set[str]] = {}
    for row in rows:
        keys.setdefault(row.prompt_set, set()).add(row.partition)
    newest: dict[tuple[str, str, str | None], GivenVerdict] = {}
    for prompt_set, of_set in keys.items():
        for chunk in chunked(of_set):
            conditions = (verdicts.c.prompt_set == prompt_set, verdicts.c.partition.in_(chunk))
            query = sa.select(verdicts).where(*conditions).order_by(verdicts.c.verdict_id)
            for verdict in map(to_verdict, connection.execute(query)):
                newest[prompt_set, verdict.partition, verdict.sha256] = verdict
    return newest
