"""The rows of a prompt set's index: one per video, with everything that a dataset needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import NoneType
from typing import Any, get_args

from seedance_dagster.api.wire import REFERENCE_KINDS
from seedance_dagster.ledger.score_results import ScoreValue
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.money import points_to_usd
from seedance_dagster.net.redaction import redact, redact_url, strip_query
from seedance_dagster.prompts.rights import AllRights
from seedance_dagster.storage.manifest import Manifest

Row = dict[str, Any]
_URL_LISTS = tuple(f"{kind}_urls" for kind in REFERENCE_KINDS)
_OF_REQUEST = ("prompt", "mode", "duration", "aspect_ratio", "resolution", "audio")
_DIGEST_CHARACTERS = 32
_TYPES = {str: "string", int: "int", float: "float", bool: "bool", datetime: "time"}


@dataclass(frozen=True)
class Column:
    """A column of the index.

    Attributes:
        name: The ledger's name where the ledger has one.
        type: "string", "int", "float", "bool", "time" (UTC), "strings", "tags" (a list of key and value) or
            "scores" (a list of name, and a number or a text).
        description: For docs and for Dagster's column schema.
    """

    name: str
    type: str
    description: str


def _of_manifest(*names: str) -> list[Column]:
    """Return columns with the types and descriptions of fields of the manifest."""
    columns = []
    for name in names:
        field = Manifest.model_fields[name]
        [python_type] = set(get_args(field.annotation) or (field.annotation,)) - {NoneType}
        columns.append(Column(name, _TYPES[python_type], str(field.description)))
    return columns


COLUMNS = (
    *_of_manifest("prompt_set", "partition"),
    Column("prompt", "string", "The text."),
    Column("task_type", "string", "The model."),
    Column("mode", "string", "The use of references."),
    Column("duration", "int", "Seconds that were requested."),
    Column("aspect_ratio", "string", "As requested; null where it was left to the vendor."),
    Column("resolution", "string", "As requested; null where it was left to the vendor."),
    Column("audio", "bool", "As requested; null where it was left to the vendor."),
    *(Column(name, "strings", "References, without user, query and fragment.") for name in _URL_LISTS),
    Column("tags", "tags", f"{Manifest.model_fields['tags'].description} A list of key and value."),
    Column(
        "rights", "string", "Rights of the prompt and its references, as a JSON object; null without any."
    ),
    Column("verdict", "string", "The review's verdict: accepted, discarded or undecided."),
    Column("scores", "scores", "Scores of the video, a list of name and value; a text is in `text` instead."),
    Column("cost_usd", "float", "The charge in USD; null when the vendor did not report it."),
    *_of_manifest("points_charged"),
    Column("uri", "string", "The video in S3."),
    *_of_manifest("sha256", "size_bytes", "duration_s", "width", "height", "fps", "codec"),
    *_of_manifest("bit_depth", "hdr", "audio_codec", "audio_channels", "audio_silent", "video_problem"),
    Column("poster_uri", "string", "A frame from the middle of the video, as JPEG; null when there is none."),
    Column("manifest_uri", "string", "The video's manifest, which holds everything else."),
    *_of_manifest("task_id", "fingerprint", "attempt", "run_id", "ordered_at"),
    *_of_manifest("vendor_created_at", "vendor_started_at", "vendor_ended_at"),
    Column("stored_at", "time", "The time at which the video was stored in S3."),
    Column("removed_at", "time", "The time at which the prompt left its file; null while it is there."),
)


def index_row(prompt_set: str, video: CurrentVideo, uri: Callable[[str], str]) -> Row:
    """Return the row of a video that a partition of a set shows.

    Args:
        video: The partition's video.
        uri: Returns a key as an s3:// URI.
    """
    order = video.order
    cost = order.video_points
    values = {
        "prompt_set": prompt_set,
        "partition": video.partition,
        **{name: order.request.get(name) for name in _OF_REQUEST},
        **{name: list(map(strip_query, order.request.get(name) or [])) for name in _URL_LISTS},
        "tags": [
            {"key": key, "value": value} for key, value in sorted(redact(video.tags, redact_url).items())
        ],
        "rights": _rights(video.rights),
        "verdict": video.verdict.value,
        "scores": [score_entry(name, value) for name, value in sorted(video.scores.items())],
        "removed_at": video.removed_at,
        "task_type": order.model,
        "cost_usd": None if cost is None else float(points_to_usd(cost)),
        "duration_s": None if order.duration_s is None else float(order.duration_s),
        "fps": None if order.fps is None else float(order.fps),
        "uri": uri(str(order.video_key)),
        "poster_uri": None if order.poster_key is None else uri(order.poster_key),
        "manifest_uri": uri(str(order.manifest_key)),
    }
    return {
        column.name: values[column.name] if column.name in values else getattr(order, column.name)
        for column in COLUMNS
    }


def _rights(rights: AllRights) -> str | None:
    plain = {name: dict(terms) for name, terms in sorted(rights.items())}
    return json.dumps(redact(plain, redact_url), ensure_ascii=False) if plain else None


def score_entry(name: str, value: ScoreValue) -> dict[str, Any]:
    """Return a score value as the index has it: a number (1 and 0 for true and false) or a text.

    Example:
        >>> score_entry("cuts", 2), score_entry("caption", "a cat")
        ({'name': 'cuts', 'value': 2.0, 'text': None}, {'name': 'caption', 'value': None, 'text': 'a cat'})
    """
    text = value if isinstance(value, str) else None
    return {"name": name, "value": None if isinstance(value, str) else float(value), "text": text}


def to_jsonl(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return one JSON object per line in UTF-8, times in ISO 8601; the same bytes for the same rows."""
    return b"".join(
        json.dumps(row, ensure_ascii=False, default=_iso).encode("utf-8", "replace") + b"\n" for row in rows
    )


def row_digest(row: Row) -> str:
    """Return a hash of a row's content, in hex."""
    return hashlib.sha256(to_jsonl([row])).hexdigest()[:_DIGEST_CHARACTERS]


def content_version(digests: Iterable[str], before: str = "") -> str:
    """Return a hash of rows, in any order; those of `before` count as well.

    The digests are added up as numbers, so that a row can be taken out again, by a minus before its digest.

    Example:
        >>> content_version(["-0a"], content_version(["0a", "0b"])) == content_version(["0b"])
        True
    """
    total = sum((int(digest, 16) for digest in digests), int(before or "0", 16))
    return f"{total % 16**_DIGEST_CHARACTERS:0{_DIGEST_CHARACTERS}x}"


def _iso(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")
