"""`seedance-dagster search`: finds prompts and videos by words."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import console, print_json, print_table, shortened
from seedance_dagster.counting import counted
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.tiles.filter import TileFilter
from seedance_dagster.ledger.tiles.text import CAPTION, words_of
from seedance_dagster.ledger.tiles.tiles import Tile
from seedance_dagster.money import format_usd, points_to_usd
from seedance_dagster.net.redaction import redact, redact_url

_LIMIT, _MOST = 50, 1_000_000
_MAX_WORDS = 100  # a database takes several conditions for each
_PROMPT = 80  # characters of a prompt in the table


@click.command(
    "search",
    epilog=examples(
        "search garden",
        "search 'cat \"slow pan\"' launch_spots",
        "search harbour --json",
    ),
)
@click.argument("text", metavar="TEXT")
@click.argument("prompt_set", metavar="[SET]", default="")
@click.option(
    "--limit",
    type=click.IntRange(1, _MOST),
    default=_LIMIT,
    show_default=True,
    help="Show at most this many.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, text: str, prompt_set: str, limit: int, as_json: bool) -> None:
    """Find prompts and videos by words of their prompts, partitions, tags, notes and captions.

    All words of TEXT must occur, in upper or lower case; a phrase in double quotes must occur as it is.
    The newest come first. Of prompts that were never ordered, the partitions and tags are searched.
    """
    words = len(words_of(text))
    if not 0 < words <= _MAX_WORDS:
        holds = f"holds {words} words" if words else "holds no word"
        raise click.BadParameter(f"{holds}; allowed are 1 to {_MAX_WORDS}", param_hint="TEXT")
    with contextlib.closing(Ledger.open(ledger_settings().ledger_url)) as ledger:
        known = ledger.partitions.sets() | ledger.partitions.sets_read()
        if prompt_set and prompt_set not in known:
            raise click.BadParameter(
                f"no prompt set {prompt_set!r}; known are {', '.join(sorted(known)) or 'none'}",
                param_hint="SET",
            )
        tiles = ledger.tiles.page(TileFilter(text=text, prompt_set=prompt_set), limit=limit + 1)
        captions = _captions(ledger, tiles)
        label = ledger.label
    shown = [_as_dict(tile, captions) for tile in tiles[:limit]]
    if as_json:
        print_json(shown)
    elif not known:
        console().print(f"Nothing has been ordered yet, according to the ledger {label}", markup=False)
    else:
        _show(shown, more=len(tiles) > limit)


def _captions(ledger: Ledger, tiles: list[Tile]) -> dict[str, str]:
    """Return the captions of tiles' videos, by SHA-256; videos without one are left out."""
    results = ledger.scores.results(tile.order.sha256 for tile in tiles if tile.order and tile.order.sha256)
    return {
        sha256: str(result.values[CAPTION])
        for sha256, by_score in results.items()
        for result in by_score.values()
        if CAPTION in result.values
    }


def _as_dict(tile: Tile, captions: Mapping[str, str]) -> dict[str, Any]:
    order, verdict = tile.order, tile.verdict
    points = order.video_points if order else None
    return {
        "prompt_set": tile.prompt_set,
        "partition": tile.partition,
        "state": order.state.value if order else "not ordered",
        "verdict": verdict.verdict.value if verdict else None,
        "note": verdict.note if verdict else None,
        "cost_usd": None if points is None else points_to_usd(points),
        "tags": redact(tile.tags, redact_url),
        "caption": captions.get(order.sha256 or "") if order else None,
        "prompt": str(order.request["prompt"]) if order else None,
    }


def _show(shown: list[dict[str, Any]], *, more: bool) -> None:
    out = console()
    if not shown:
        out.print("nothing was found: each word must be in a prompt, partition, tag, note or caption")
        return
    rows = [
        (
            video["prompt_set"],
            video["partition"],
            video["state"],
            video["verdict"] or "",
            "" if video["cost_usd"] is None else format_usd(video["cost_usd"]),
            shortened(video["prompt"] or "", _PROMPT),
        )
        for video in shown
    ]
    print_table(out, "", ("Set", "Partition", "State", "Verdict", "USD", "Prompt"), rows, numbers=("USD",))
    out.print(f"the newest {len(shown)}; --limit shows more" if more else counted(len(shown), "partition"))
