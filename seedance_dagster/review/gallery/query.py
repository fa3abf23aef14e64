"""The query of a page: its filter, its order, its open clip and its first tile."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TypeVar
from urllib.parse import urlencode

from seedance_dagster.ledger.tiles.filter import Stage, TileFilter
from seedance_dagster.ledger.tiles.order import NEWEST_FIRST, Cursor, TileOrder
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.money import usd_to_points
from seedance_dagster.net.secrets import SafeError
from seedance_dagster.prompts.thresholds import ALLOWED, Threshold

_MAX_TEXT = 200
_SORT = re.compile(r"(-?)(cost|scores\.[a-z][a-z0-9_]*)")
_SCORE = re.compile(r"([a-z][a-z0-9_]*)\s*([<>=!].*)", re.DOTALL)
Pairs = list[tuple[str, str]]
Member = TypeVar("Member", Stage, Verdict)


class QueryError(SafeError, ValueError):
    """A query that cannot be read; the message says what is allowed."""


@dataclass(frozen=True)
class PageQuery:
    """The content of a page.

    Attributes:
        pairs: Filter and order as the query has them, without empty fields.
        tile_filter: The filter, parsed.
        order: The order.
        clip: The partition that is open; empty for none.
        after: The last tile of the page before.
    """

    pairs: Pairs
    tile_filter: TileFilter
    order: TileOrder = NEWEST_FIRST
    clip: str = ""
    after: Cursor | None = None

    def link(self, **more: str) -> str:
        """Return the query of another page with the same filter."""
        return urlencode([*self.pairs, *more.items()])

    def has(self, name: str, value: str) -> bool:
        """Return True if the filter has a value of a field."""
        return (name, value) in self.pairs

    def all(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [value for key, value in self.pairs if key == name]

    def first(self, name: str) -> str:
        """Return the first value of a field; empty if there is none."""
        return next((value for key, value in self.pairs if key == name), "")


def read_query(items: Iterable[tuple[str, str]]) -> PageQuery:
    """Read the fields of a query; unknown ones are left out.

    Raises:
        QueryError: A value cannot be used.
    """
    pairs = [(name, value.strip()) for name, value in items if value.strip() and name in _FIELDS]
    first = dict(reversed(pairs))
    values = {name: tuple(value for key, value in pairs if key == name) for name in _FIELDS}
    tile_filter = TileFilter(
        prompt_set=first.get("set", ""),
        models=values["type"],
        stages=tuple(_member(Stage, "state", value) for value in values["state"]),
        verdicts=tuple(_member(Verdict, "verdict", value) for value in values["verdict"]),
        tags=dict(map(_tag, values["tag"])),
        min_points=_points("cost_min", first.get("cost_min")),
        max_points=_points("cost_max", first.get("cost_max")),
        since=_day("since", first.get("since")),
        until=_day("until", first.get("until")),
        scores=tuple(condition for text in values["score"] for condition in _scores(text)),
        text=first.get("q", "")[:_MAX_TEXT],
    )
    filter_pairs = [(name, value) for name, value in pairs if name not in ("clip", "after")]
    order = _order(first.get("sort"))
    return PageQuery(
        filter_pairs, tile_filter, order, first.get("clip", ""), _cursor(first.get("after"), order)
    )


_FIELDS = (
    *("set", "type", "state", "verdict", "tag", "cost_min", "cost_max", "since", "until", "score", "q"),
    *("sort", "clip", "after"),
)


def cursor_text(cursor: Cursor) -> str:
    """Return a cursor as a field of a query."""
    number = "" if cursor.number is None else f"{cursor.number!r}~"
    return f"{number}{cursor.order_id}:{cursor.prompt_set}:{cursor.partition}"


def _cursor(text: str | None, order: TileOrder) -> Cursor | None:
    if text is None:
        return None
    position, _, rest = text.partition(":")
    number, _, order_id = position.rpartition("~")
    prompt_set, _, partition = rest.partition(":")
    is_id = order_id.isascii() and order_id.isdigit() and len(order_id) < 19  # noqa: PLR2004  64 bits
    try:
        sorted_by = float(number) if order.by else None
    except ValueError:
        sorted_by = math.nan
    if not (is_id and partition) or not math.isfinite(sorted_by or 0):
        raise QueryError("after is not the end of a page; follow the links of the gallery")
    return Cursor(int(order_id), prompt_set, partition, sorted_by)


def _order(text: str | None) -> TileOrder:
    if text is None:
        return NEWEST_FIRST
    shape = _SORT.fullmatch(text)
    if shape is None:
        raise QueryError(
            f"sort is {text!r}; allowed are cost and scores.NAME, with - before them for the highest first"
        )
    return TileOrder(by=shape[2], descending=bool(shape[1]))


def _member(kind: type[Member], name: str, value: str) -> Member:
    try:
        return kind(value)
    except ValueError:
        raise QueryError(f"{name} is {value!r}; allowed are {', '.join(kind)}") from None


def _tag(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise QueryError(f"tag is {text!r}; allowed is NAME=VALUE")
    return name, value


def _scores(text: str) -> Iterator[tuple[str, Threshold]]:
    """Yield the conditions on scores in a text that separates them by commas; raise `QueryError`."""
    for part in filter(None, map(str.strip, text.split(","))):
        shape = _SCORE.fullmatch(part)
        try:
            yield ("", Threshold.parse("")) if shape is None else (shape[1], Threshold.parse(shape[2]))
        except ValueError:
            raise QueryError(f"score is {part!r}; allowed is a name and {ALLOWED}") from None


def _points(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        points = usd_to_points(text)
    except ValueError:
        points = -1
    if not 0 <= points < 2**63:
        raise QueryError(f"{name} is {text!r}; allowed are amounts in USD, such as 0.40")
    return points


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise QueryError(f"{name} is {text!r}; allowed are days, such as 2026-11-26") from None
    if day.year > 9000:  # noqa: PLR2004  the day after must exist
        raise QueryError(f"{name} is {text!r}; allowed are days up to the year 9000")
    return day
