"""Everything that is known about a clip, as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from seedance_dagster.api.wire import REFERENCE_KINDS
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.ledger.tiles.tiles import Tile
from seedance_dagster.ledger.verdict import GivenVerdict
from seedance_dagster.money import points_to_usd
from seedance_dagster.net.redaction import redact, redact_url, strip_query
from seedance_dagster.net.secrets import without_secrets
from seedance_dagster.prompts.thresholds import value_text
from seedance_dagster.review.gallery.view import TileView, cost_of, tile_view
from seedance_dagster.video_health import VIDEO_CHECKS

_SHOWN_APART = ("prompt", "task_type", "mode", *(f"{kind}_urls" for kind in REFERENCE_KINDS))


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip as the panel shows it.

    Attributes:
        facts: Names and values.
        scores: Names and values of its scores.
        checks: How many checks of a single video it passes; empty if there is no video.
        problems: The checks that it does not pass, with reasons.
        links: Names and addresses in Dagster.
        trace: The command that follows the video from end to end.
        archived_entries: The number of entries of the journal that are in its archive.
    """

    tile: TileView
    facts: tuple[tuple[str, str], ...]
    scores: tuple[tuple[str, str], ...]
    references: tuple[str, ...]
    checks: str
    problems: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    trace: str
    verdicts: tuple[GivenVerdict, ...]
    journal: tuple[JournalEntry, ...]
    archived_entries: int


def read_clip(ledger: Ledger, tile: Tile, dagster_url: str) -> Clip:
    """Return everything that is known about a partition; raise `LedgerError`."""
    order = tile.order
    stored = order is not None and order.state is State.STORED
    problems = tuple(_problems(order)) if order is not None and stored else ()
    return Clip(
        tile=tile_view(tile),
        facts=tuple((name, value) for name, value in _facts(tile) if value),
        references=tuple(_references(order)) if order else (),
        scores=tuple((name, value_text(value)) for name, value in sorted(tile.scores.items())),
        checks=f"{len(VIDEO_CHECKS) - len(problems)} of {len(VIDEO_CHECKS)} passed" if stored else "",
        problems=problems,
        links=tuple(_links(tile, dagster_url)) if dagster_url else (),
        trace=f"seedance-dagster trace {tile.prompt_set} {tile.partition}",
        verdicts=tuple(ledger.verdicts.history(tile.prompt_set, tile.partition)),
        journal=tuple(ledger.queries.journal(order.order_id)) if order else (),
        archived_entries=_archived_entries(ledger, order) if order else 0,
    )


def _archived_entries(ledger: Ledger, order: Order) -> int:
    parts = ledger.archive.parts_of([order.order_id]).get(order.order_id, ())
    return sum(count for _, count in parts)


def _facts(tile: Tile) -> Iterator[tuple[str, str]]:
    yield "Set", tile.prompt_set
    order = tile.order
    if order is None:
        return
    yield "Model", f"{order.model}, {order.request['mode']}"
    yield "Request", _request(order)
    yield "Video", _video(order)
    yield "Preview", f"none: {order.preview_problem}" if order.preview_problem else ""
    yield "Cost", _cost(order)
    yield "Ordered", _time(order.ordered_at)
    yield "Rendered", _rendered(order)
    yield "Stored", _time(order.stored_at)
    yield "Tags", ", ".join(f"{name}: {value}" for name, value in redact(dict(tile.tags), redact_url).items())
    yield "Rights", _rights(order)
    yield "Task", order.task_id or ""
    yield "Attempt", str(order.attempt)
    yield "Run", order.run_id
    yield "SHA-256", order.sha256 or ""
    if order.prompt_set != tile.prompt_set or order.partition != tile.partition:
        yield "Made for", f"{order.prompt_set}/{order.partition}"


def _rights(order: Order) -> str:
    rights = redact(order.rights or {}, redact_url)
    return "; ".join(f"{of}: {', '.join(parts.values())}" for of, parts in rights.items())


def _request(order: Order) -> str:
    """Return the parameters of the request that have no line of their own."""
    rest = {name: value for name, value in order.request.items() if name not in _SHOWN_APART}
    return ", ".join(
        f"{name}: {value}" for name, value in redact(rest).items() if value not in (None, [], False)
    )


def _video(order: Order) -> str:
    if order.state is not State.STORED:
        return ""
    sound = {None: "", 0: "no sound"}.get(order.audio_channels, "with sound")
    parts = (
        f"{order.duration_s:.2f} s" if order.duration_s is not None else "",
        f"{order.width} x {order.height}" if order.width and order.height else "",
        order.codec or "",
        f"{order.fps:g} frames/s" if order.fps else "",
        "silent" if order.audio_silent else sound,
        f"{order.size_bytes / 1e6:.2f} MB" if order.size_bytes else "",
    )
    return ", ".join(filter(None, parts))


def _cost(order: Order) -> str:
    points = order.estimated_points + (order.source or {}).get("estimated_points", 0)
    estimate = f"estimate {points_to_usd(points):.2f}"
    cost = cost_of(order)
    return f"{cost} USD ({estimate})" if cost else f"not charged yet ({estimate} USD)"


def _rendered(order: Order) -> str:
    if order.vendor_started_at is None or order.vendor_ended_at is None:
        return ""
    seconds = round((order.vendor_ended_at - order.vendor_started_at).total_seconds())
    return f"{_time(order.vendor_ended_at)}, in {seconds // 60} min {seconds % 60} s"


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _references(order: Order) -> Iterator[str]:
    for kind in REFERENCE_KINDS:
        for number, url in enumerate(order.request.get(f"{kind}_urls") or (), start=1):
            yield f"@{kind}{number}: {strip_query(url)}"


def _problems(order: Order) -> Iterator[str]:
    """Yield the checks that a video does not pass, each with the reason."""
    for name, judge in VIDEO_CHECKS.items():
        if reason := judge(order):
            yield f"{name}: {without_secrets(redact(reason, redact_url))}"


def _links(tile: Tile, dagster_url: str) -> Iterator[tuple[str, str]]:
    for asset in ("prompts", "tasks", "videos", "accepted"):
        path = "/".join(map(quote, (*tile.prompt_set.split("."), asset)))
        query = urlencode({"view": "partitions", "partition": tile.partition})
        yield asset, f"{dagster_url.rstrip('/')}/assets/{path}?{query}"
