"""The filter of the gallery's tiles, as conditions in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

import sqlalchemy as sa

from seedance_dagster.ledger.order import OPEN, WITHDRAWN, State
from seedance_dagster.ledger.partitions import asks_for, same_partition
from seedance_dagster.ledger.tables.schema import links, orders, partitions, verdicts
from seedance_dagster.ledger.tiles.scores import meets
from seedance_dagster.ledger.tiles.text import OF_VIDEO, mentions
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.prompts.thresholds import Threshold


class Stage(StrEnum):
    """The progress of a partition's order, as a viewer sees it."""

    STORED = "stored"
    IN_PROGRESS = "in_progress"
    NO_VIDEO = "no_video"
    NOT_ORDERED = "not_ordered"


@dataclass(frozen=True, kw_only=True)
class TileFilter:
    """Conditions on the tiles of a page; an empty field excludes nothing.

    Attributes:
        models: Any of these task types.
        stages: Any of these.
        verdicts: Any of these; only stored videos have one.
        tags: All of these values.
        min_points: The lowest cost of a video, in points.
        max_points: The highest cost.
        since: The first UTC day on which it was ordered.
        until: The last one.
        scores: Thresholds that the video's score values must meet, by name.
        text: Words in the prompt, the partition, a tag, a note or the caption, in upper or lower case. All of
            them must occur; text in double quotes counts as one word.
    """

    prompt_set: str = ""
    models: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    min_points: int | None = None
    max_points: int | None = None
    since: date | None = None
    until: date | None = None
    scores: tuple[tuple[str, Threshold], ...] = ()
    text: str = ""


MODEL = orders.c.request["task_type"].as_string()
"""The model of an order."""

STAGE = sa.case(
    (orders.c.state == State.STORED, Stage.STORED.value),
    (orders.c.state.in_(OPEN), Stage.IN_PROGRESS.value),
    else_=Stage.NO_VIDEO.value,
)
"""The stage of an order."""

_SOURCE_POINTS = sa.func.coalesce(orders.c.source["points_charged"].as_integer(), 0)
COST = sa.func.coalesce(orders.c.points_charged, 0) + _SOURCE_POINTS
"""The charge for an order in points; that of a removal includes its source's."""

_NEWEST = (
    sa.select(sa.type_coerce(verdicts.c.verdict, sa.Text))
    .where(*OF_VIDEO)
    .order_by(verdicts.c.verdict_id.desc())
    .limit(1)
    .correlate(links, orders)
    .scalar_subquery()
)
VERDICT = sa.case(
    (orders.c.state == State.STORED, sa.func.coalesce(_NEWEST, Verdict.UNDECIDED.value)),
    else_=Verdict.UNDECIDED.value,
)
"""The verdict on a partition's video."""


def is_shown() -> sa.ColumnElement[bool]:
    """Select links whose order the partition shows; for a query on `links`, `orders` and `partitions`.

    A stored video comes first, then an order for the partition's current request, then the newest; see
    `Videos`.
    """
    other, other_link = orders.alias(), links.alias()
    better = sa.or_(
        _rank(other) > _rank(orders),
        sa.and_(_rank(other) == _rank(orders), other.c.order_id > orders.c.order_id),
    )
    has_better = (
        sa.exists()
        .where(
            same_partition(other_link, links),
            other_link.c.order_id != links.c.order_id,
            other.c.order_id == other_link.c.order_id,
            _may_be_shown(other),
            better,
        )
        .correlate(links, orders, partitions)
    )
    return sa.and_(_may_be_shown(orders), ~has_better)


def _rank(order: sa.FromClause) -> sa.ColumnElement[int]:
    stored = sa.case((order.c.state == State.STORED, 2), else_=0)
    return stored + sa.case((asks_for(order=order), 1), else_=0)


def _may_be_shown(order: sa.FromClause) -> sa.ColumnElement[bool]:
    """Select orders that were not withdrawn, without videos whose watermark is being removed."""
    removal = orders.alias()
    has_open_removal = (
        sa.exists()
        .where(removal.c.source_order_id == order.c.order_id, removal.c.state.in_(OPEN))
        .correlate(order)
    )
    is_current = sa.case((asks_for(order=order), sa.true()), else_=sa.false())
    return sa.and_(order.c.error_class.is_distinct_from(WITHDRAWN), sa.or_(is_current, ~has_open_removal))


def tile_conditions(tile_filter: TileFilter) -> Iterator[sa.ColumnElement[bool]]:
    """Yield the conditions of a filter; for a query on `links`, `orders` and `partitions`."""
    if tile_filter.prompt_set:
        yield links.c.prompt_set == tile_filter.prompt_set
    if tile_filter.models:
        yield MODEL.in_(tile_filter.models)
    if tile_filter.stages:
        yield sa.or_(sa.false(), *(_in_stage(stage) for stage in tile_filter.stages))
    if tile_filter.verdicts:
        yield orders.c.state == State.STORED
        yield VERDICT.in_([verdict.value for verdict in tile_filter.verdicts])
    for name, value in tile_filter.tags.items():
        yield partitions.c.tags[name].as_string() == value
    yield from _ranges(tile_filter)
    if tile_filter.scores:
        yield orders.c.state == State.STORED
    for name, threshold in tile_filter.scores:
        yield meets(name, threshold)
    if tile_filter.text:
        yield mentions(tile_filter.text)


def _ranges(tile_filter: TileFilter) -> Iterator[sa.ColumnElement[bool]]:
    if tile_filter.min_points is not None:
        yield tile_filter.min_points <= COST
    if tile_filter.max_points is not None:
        yield tile_filter.max_points >= COST
    if tile_filter.since is not None:
        yield orders.c.ordered_at >= _midnight(tile_filter.since)
    if tile_filter.until is not None:
        yield orders.c.ordered_at < _midnight(tile_filter.until + timedelta(days=1))


def _in_stage(stage: Stage) -> sa.ColumnElement[bool]:
    if stage is Stage.STORED:
        return orders.c.state == State.STORED
    if stage is Stage.IN_PROGRESS:
        return orders.c.state.in_(OPEN)
    if stage is Stage.NO_VIDEO:
        return orders.c.state.in_({State.REJECTED, State.FAILED})
    return sa.false()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
