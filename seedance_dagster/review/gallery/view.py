"""Tiles and counts as text, for the templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seedance_dagster.health import no_video_reason
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.tiles.filter import Stage
from seedance_dagster.ledger.tiles.tiles import Tile, TileCount
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.money import points_to_usd
from seedance_dagster.net.redaction import redact, redact_url
from seedance_dagster.net.secrets import without_secrets
from seedance_dagster.prompts.thresholds import value_text
from seedance_dagster.review.gallery.media import played_kind

_WAITING = {
    State.QUEUED: "Queued",
    State.CLAIMED: "Being sent",
    State.UNCERTAIN: "Uncertain: the reply to its POST was lost",
    State.SUBMITTED: "Rendering",
    State.SUCCEEDED: "Rendered, not stored yet",
}


@dataclass(frozen=True, kw_only=True)
class TileView:
    """A tile as text.

    Attributes:
        state: "stored", "in_progress", "no_video" or "not_ordered".
        played: The file that the page plays, "video" or "preview"; empty if there is no video.
        length: Minutes and seconds; empty if unknown.
        cost: In USD; empty if unknown.
        reason: Why there is no video, and what to do; empty if there is one.
        score: The value that tiles are sorted by; empty if that is not a score.
    """

    prompt_set: str
    partition: str
    prompt_id: str
    prompt: str
    take: int
    state: str
    order_id: int | None
    sha256: str
    has_poster: bool
    played: str
    length: str
    cost: str
    reason: str
    verdict: Verdict
    note: str
    reviewer: str
    score: str


@dataclass(frozen=True)
class Row:
    """The takes of a prompt, side by side."""

    prompt_set: str
    prompt_id: str
    prompt: str
    tiles: tuple[TileView, ...]


def rows_of(tiles: Iterable[Tile], score: str = "") -> list[Row]:
    """Return a row for each prompt of some tiles, in the order of the first tile of each.

    Args:
        tiles: The tiles.
        score: The name of a score that they are sorted by.
    """
    by_prompt: dict[tuple[str, str], list[Tile]] = {}
    for tile in tiles:
        by_prompt.setdefault((tile.prompt_set, tile.prompt_id), []).append(tile)
    return [_row(*key, takes, score) for key, takes in by_prompt.items()]


def _row(prompt_set: str, prompt_id: str, tiles: list[Tile], score: str) -> Row:
    views = tuple(tile_view(tile, score) for tile in sorted(tiles, key=lambda tile: tile.take))
    prompt = next((view.prompt for view in views if view.prompt), "")
    return Row(prompt_set, prompt_id, prompt, views)


def tile_view(tile: Tile, score: str = "") -> TileView:
    """Return a tile as text, with the value of a score."""
    order, verdict = tile.order, tile.verdict
    stored = order is not None and order.state is State.STORED
    return TileView(
        prompt_set=tile.prompt_set,
        partition=tile.partition,
        prompt_id=tile.prompt_id,
        prompt="" if order is None else str(order.request["prompt"]),
        take=tile.take,
        state=_state(order),
        order_id=None if order is None else order.order_id,
        sha256=str(order.sha256) if order is not None and stored else "",
        played=played_kind(order) if order is not None and stored else "",
        has_poster=order is not None and stored and order.poster_key is not None,
        length=_length(order.duration_s) if order else "",
        cost=cost_of(order) if order and stored else "",
        reason="" if stored else reason_of(order),
        verdict=verdict.verdict if verdict else Verdict.UNDECIDED,
        note=verdict.note if verdict else "",
        reviewer=verdict.reviewer if verdict else "",
        score=value_text(tile.scores[score]) if score in tile.scores else "",
    )


def cost_of(order: Order) -> str:
    """Return the cost of a video in USD; empty if it is unknown."""
    return "" if order.video_points is None else f"{points_to_usd(order.video_points):.2f}"


def reason_of(order: Order | None) -> str:
    """Return the reason why a partition has no video, and what to do."""
    if order is None:
        return "Not ordered yet: materialize it in Dagster"
    if order.state in _WAITING:
        return _WAITING[order.state]
    reason = str(no_video_reason(order) or "")
    cleaned: str = without_secrets(redact(reason, redact_url))
    return cleaned[:1].upper() + cleaned[1:]


def _state(order: Order | None) -> str:
    if order is None:
        return Stage.NOT_ORDERED.value
    if order.state is State.STORED:
        return Stage.STORED.value
    return Stage.IN_PROGRESS.value if order.state in _WAITING else Stage.NO_VIDEO.value


def _length(seconds: float | None) -> str:
    return "" if seconds is None else f"{int(seconds // 60)}:{int(seconds % 60):02}"


@dataclass(frozen=True)
class Facets:
    """The values that tiles can be filtered by, each with its number of tiles."""

    sets: Counter[str]
    models: Counter[str]
    stages: Counter[Stage]
    verdicts: Counter[Verdict]
    tags: dict[str, dict[str, int]]
    cost: str
    cost_per_accepted: str


_MAX_VALUES = 30  # a tag with more, such as a number of each prompt, is not offered as a filter


def facets_of(
    counts: Sequence[TileCount], sets: Iterable[str], prompt_set: str, tags: dict[str, dict[str, int]]
) -> Facets:
    """Return the facets of a set, or of all sets."""
    facets = Facets(
        Counter(dict.fromkeys(sets, 0)),
        Counter(),
        Counter(),
        Counter(),
        {name: values for name, values in tags.items() if len(values) <= _MAX_VALUES},
        *_costs([count for count in counts if prompt_set in ("", count.prompt_set)]),
    )
    for count in counts:
        facets.sets[count.prompt_set] += count.tiles
        if prompt_set in ("", count.prompt_set):
            facets.models[count.model] += count.tiles
            facets.stages[count.stage] += count.tiles
            if count.stage is Stage.STORED:
                facets.verdicts[count.verdict] += count.tiles
    return facets


def _costs(counts: Sequence[TileCount]) -> tuple[str, str]:
    """Return the cost of all tiles, and that for each accepted video, in USD."""
    total = points_to_usd(sum(count.points for count in counts))
    accepted = sum(count.tiles for count in counts if count.verdict is Verdict.ACCEPTED)
    return f"{total:,.2f}", f"{total / accepted:,.2f}" if accepted else ""
