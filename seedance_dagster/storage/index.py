"""The index of a prompt set: one row a video with all that a team needs to load the set with one read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seedance_dagster.ledger.order import Order
from seedance_dagster.money import points_to_usd
from seedance_dagster.net.redaction import redact, redact_url

Row = dict[str, Any]
_URL_LISTS = ("image_urls", "video_urls", "audio_urls")
_OF_REQUEST = ("prompt", "mode", "duration", "aspect_ratio", "resolution", "audio")


@dataclass(frozen=True)
class Column:
    """One column of the index.

    Attributes:
        name: The ledger's name where the ledger has one.
        type: "string", "int", "float", "bool", "time" (UTC), "strings" or "tags" (strings by string).
        about: What it holds.
    """

    name: str
    type: str
    about: str


COLUMNS = (
    Column("prompt_set", "string", "The set."),
    Column("partition", "string", "The prompt's id, with its take where it has several."),
    Column("prompt", "string", "The text."),
    Column("task_type", "string", "The model."),
    Column("mode", "string", "How references are used."),
    Column("duration", "int", "Seconds that were asked for."),
    Column("aspect_ratio", "string", "As asked for; null where it was left to the vendor."),
    Column("resolution", "string", "As asked for; null where it was left to the vendor."),
    Column("audio", "bool", "As asked for; null where it was left to the vendor."),
    Column("image_urls", "strings", "References, without user, query and fragment."),
    Column("video_urls", "strings", "References, without user, query and fragment."),
    Column("audio_urls", "strings", "References, without user, query and fragment."),
    Column("tags", "tags", "The prompt's."),
    Column("cost_usd", "float", "What the vendor charged; null when it did not tell."),
    Column("points_charged", "int", "The same in points, exact: 10,000,000 points are 1 USD."),
    Column("uri", "string", "The video in S3."),
    Column("sha256", "string", "Of the video, in hex."),
    Column("size_bytes", "int", "Of the video."),
    Column("duration_s", "float", "Seconds that the video lasts."),
    Column("width", "int", "Pixels."),
    Column("height", "int", "Pixels."),
    Column("fps", "float", "Frames a second."),
    Column("codec", "string", "Of the video stream."),
    Column("poster_uri", "string", "A picture from its middle."),
    Column("manifest_uri", "string", "Its manifest, which says all the rest."),
    Column("task_id", "string", "The vendor's."),
    Column("fingerprint", "string", "Of the request."),
    Column("attempt", "int", "From 1 among the orders of this request."),
    Column("run_id", "string", "The Dagster run that ordered it."),
    Column("ordered_at", "time", "When it was ordered."),
    Column("vendor_created_at", "time", "When the vendor took it."),
    Column("vendor_started_at", "time", "When rendering began."),
    Column("vendor_ended_at", "time", "When rendering ended."),
    Column("stored_at", "time", "When its video was in S3."),
)


def index_row(order: Order, uri: Callable[[str], str]) -> Row:
    """The row of a stored order.

    Args:
        order: With its artifacts.
        uri: Makes an s3:// URI of a key.
    """
    charged = order.points_charged
    request = {name: order.request.get(name) for name in _OF_REQUEST}
    references = {name: redact(order.request.get(name) or []) for name in _URL_LISTS}
    made = {
        "tags": redact(order.tags, redact_url),
        "cost_usd": None if charged is None else float(points_to_usd(charged)),
        "duration_s": None if order.duration_s is None else float(order.duration_s),
        "fps": None if order.fps is None else float(order.fps),
        "uri": uri(str(order.video_key)),
        "poster_uri": uri(str(order.poster_key)),
        "manifest_uri": uri(str(order.manifest_key)),
    }
    told = request | references | made
    return {
        column.name: told[column.name] if column.name in told else getattr(order, column.name)
        for column in COLUMNS
    }


def to_jsonl(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """One JSON object a line in UTF-8, times in ISO 8601; the same bytes for the same rows."""
    return b"".join(
        json.dumps(row, ensure_ascii=False, default=_iso).encode("utf-8", "replace") + b"\n" for row in rows
    )


def to_parquet(rows: Sequence[Row]) -> bytes | None:
    """The same rows as Parquet, typed; None where pyarrow (extra `parquet`) is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415  heavy, and an extra
        import pyarrow.parquet as pq  # noqa: PLC0415  heavy, and an extra
    except ModuleNotFoundError:
        return None
    types = {
        "string": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "strings": pa.list_(pa.string()),
        "tags": pa.map_(pa.string(), pa.string()),
    }
    schema = pa.schema([pa.field(column.name, types[column.type]) for column in COLUMNS])
    content = io.BytesIO()
    entries = [row | {"tags": list(row["tags"].items())} for row in rows]
    pq.write_table(pa.Table.from_pylist(entries, schema=schema), content, compression="zstd")
    return content.getvalue()


def _iso(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")
