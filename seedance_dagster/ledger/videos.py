"""The current video of each partition."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.ledger.partitions import asks_for, same_partition
from seedance_dagster.ledger.score_results import ScoreValue
from seedance_dagster.ledger.tables.schema import links, orders, other_orders, partitions, verdicts
from seedance_dagster.ledger.tables.scores import scores
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.prompts.rights import AllRights

_ROWS_AT_ONCE = 1000
_LABEL = ("label", "label_tags", "label_removed_at", "label_rights")


@dataclass(frozen=True)
class CurrentVideo:
    """The video that a partition shows.

    Attributes:
        partition: The partition's key.
        order: The stored order, which may have been made for another partition or set.
        tags: The prompt's tags, as its file has them now.
        removed_at: When the prompt left its file; None while it is in it.
        verdict: The last verdict on these bytes as this partition's video.
        scores: The score values of these bytes, by name.
        rights: The rights of the prompt and its references, as the file has them now.
    """

    partition: str
    order: Order
    tags: dict[str, str]
    removed_at: datetime | None = None
    verdict: Verdict = Verdict.UNDECIDED
    scores: Mapping[str, ScoreValue] = field(default_factory=dict)
    rights: AllRights = field(default_factory=dict)


class Videos(LedgerPart):
    """The part of the ledger that a set's index is made from."""

    def current(self, prompt_set: str, partition: str | None = None) -> list[CurrentVideo]:
        """Return the video that each partition of a set shows, or one of them, sorted by their first orders.

        That is the newest one for the partition's current request, else the newest.
        """
        return self._current(prompt_set, None if partition is None else [partition])

    def current_among(self, prompt_set: str, keys: Iterable[str]) -> list[CurrentVideo]:
        """Return the videos that some partitions of a set show, as `current`, in any order."""
        return [video for chunk in chunked(keys) for video in self._current(prompt_set, chunk)]

    def _current(self, prompt_set: str, keys: Collection[str] | None) -> list[CurrentVideo]:
        query, some = _videos_query(among=keys is not None), {} if keys is None else {"keys": list(keys)}
        videos: list[CurrentVideo] = []
        with self._database.reading() as connection:
            result = connection.execute(query, {"prompt_set": prompt_set} | some)
            for rows in result.partitions(_ROWS_AT_ONCE):
                measured = scores_of(connection, (row.sha256 for row in rows))
                videos += (_video(row, measured) for row in rows)
        return videos

    def count(self, prompt_set: str) -> int:
        """Return how many partitions of a set show a video."""
        with self._database.reading() as connection:
            query = sa.select(sa.func.count()).select_from(current_videos(prompt_set))
            return connection.scalar(query) or 0

    def shown(self, prompt_set: str, partition: str) -> int | None:
        """Return the id of the stored order that one partition shows; None when it shows none."""
        with self._database.reading() as connection:
            return connection.scalar(sa.select(current_videos(prompt_set, [partition]).c.order_id))

    def sets(self) -> list[str]:
        """Return the names of the sets that have a video to show, sorted."""
        query = (
            sa.select(links.c.prompt_set)
            .join(orders, orders.c.order_id == links.c.order_id)
            .where(orders.c.state == State.STORED)
            .distinct()
        )
        with self._database.reading() as connection:
            return sorted(connection.scalars(query))


@cache  # an audit and a tick run it for each set, and composing it takes as long as running it
def _videos_query(*, among: bool) -> sa.Select[Any]:
    """Select the videos of the set `prompt_set`, or those of its partitions `keys`."""
    prompt_set = sa.bindparam("prompt_set", type_=sa.String)
    current = current_videos(prompt_set, sa.bindparam("keys", expanding=True) if among else None)
    verdict = (
        sa.select(verdicts.c.verdict)
        .where(
            verdicts.c.prompt_set == prompt_set,
            verdicts.c.partition == current.c.label,
            verdicts.c.sha256 == orders.c.sha256,
        )
        .order_by(verdicts.c.verdict_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return (
        sa.select(orders, *(current.c[name] for name in _LABEL), verdict.label("verdict"))
        .join(current, current.c.order_id == orders.c.order_id)
        .order_by(current.c.first_order_id, current.c.label)
    )


def _video(row: sa.Row[Any], measured: Mapping[str, Mapping[str, ScoreValue]]) -> CurrentVideo:
    columns = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's documented mapping view
    label, tags, removed_at, rights, verdict = map(columns.pop, (*_LABEL, "verdict"))
    order = Order(**columns)
    if tags is None:  # the partition's file was not read yet
        tags, rights = order.tags, order.rights
    values = measured.get(str(order.sha256), {})
    return CurrentVideo(label, order, tags, removed_at, verdict or Verdict.UNDECIDED, values, rights or {})


def has_video(connection: sa.Connection, prompt_set: str) -> bool:
    """Return True where a set has an order with a stored video."""
    stored = (links.c.prompt_set == prompt_set, orders.c.state == State.STORED)
    query = sa.select(links.c.order_id).join(orders, orders.c.order_id == links.c.order_id).where(*stored)
    # Ordered, so that an index of the set's links is used instead of the whole table.
    return connection.scalar(query.order_by(links.c.order_id.desc()).limit(1)) is not None


# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_SCORES = (
    sa.select(scores.c.sha256, scores.c.measured)
    .where(scores.c.sha256.in_(sa.bindparam("sha256s", expanding=True)))
    .order_by(scores.c.score)
)


def scores_of(connection: sa.Connection, sha256s: Iterable[str]) -> dict[str, dict[str, ScoreValue]]:
    """Return the score values of some videos' bytes, by SHA-256 and name."""
    by_sha256: dict[str, dict[str, ScoreValue]] = {}
    for chunk in chunked(dict.fromkeys(sha256s)):
        for row in connection.execute(_SCORES, {"sha256s": chunk}):
            by_sha256.setdefault(row.sha256, {}).update(row.measured)
    return by_sha256


def current_videos(
    prompt_set: str | sa.BindParameter[str], keys: Collection[str] | sa.BindParameter[str] | None = None
) -> sa.Subquery:
    """Select order, first order, label and facts of the label, one row for each partition with a video."""
    among = sa.true() if keys is None else links.c.partition.in_(keys)
    removal = other_orders
    has_open_removal = (
        sa.exists()
        .where(removal.c.source_order_id == orders.c.order_id, removal.c.state.in_(OPEN))
        .correlate(orders)
    )
    # A video whose watermark is being removed is shown only where the watermark is wanted.
    may_be_shown = sa.or_(asks_for(), ~has_open_removal)
    is_current = sa.case((asks_for(), 0), else_=1)
    per_partition: dict[str, Any] = {"partition_by": links.c.partition}
    ranked = (
        sa.select(
            orders.c.order_id,
            orders.c.state,
            links.c.partition.label("label"),
            partitions.c.tags.label("label_tags"),
            partitions.c.removed_at.label("label_removed_at"),
            partitions.c.rights.label("label_rights"),
            sa.func.min(orders.c.order_id).over(**per_partition).label("first_order_id"),
            sa.func.row_number()
            .over(
                **per_partition,
                order_by=(orders.c.state != State.STORED, is_current, orders.c.order_id.desc()),
            )
            .label("rank"),
        )
        .select_from(links)
        .join(orders, orders.c.order_id == links.c.order_id)
        .outerjoin(partitions, same_partition(partitions, links))
        .where(links.c.prompt_set == prompt_set, among, may_be_shown)
        .subquery()
    )
    return (
        sa.select(
            *(ranked.c[name] for name in ("order_id", "first_order_id", "label", "label_tags")),
            ranked.c.label_removed_at,
            ranked.c.label_rights,
        )
        .where(ranked.c.rank == 1, ranked.c.state == State.STORED)
        .subquery()
    )
