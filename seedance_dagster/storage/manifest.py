"""The manifest beside each video: the request, its origin, its cost and the stored bytes.

It is made from one order alone, so that a lost one can be written again, byte for byte. The JSON Schema
is generated from the model: `python -m seedance_dagster.storage.manifest > FILE`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from seedance_dagster.api.wire import REFERENCE_KINDS, GenerationRequest, ReferenceKind
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.references import sent_fields
from seedance_dagster.net.redaction import redact, redact_url, strip_query

SCHEMA_ID: Final = "urn:seedance-dagster:manifest:1"


class ReferenceFacts(BaseModel):
    """The facts about a reference file, from a probe before the order."""

    model_config = ConfigDict(frozen=True, extra="allow")

    media_type: str | None = Field(
        default=None, description='The type by its first bytes, such as "video/mp4".'
    )
    size_bytes: int | None = None
    sha256: str | None = Field(default=None, description="Null when the file was too large to be read whole.")
    duration_s: float | None = Field(default=None, description="Null for files without a length.")
    sent_url: str | None = Field(
        default=None, description="The link under which a file of your own was sent, without its query."
    )
    uploaded_at: str | None = Field(
        default=None,
        description="The time (UTC) at which that file was uploaded to the vendor's file service.",
    )


class Reference(BaseModel):
    """A reference of the request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ReferenceKind
    position: int = Field(description="From 1 among those of its kind, as the prompt counts them.")
    url: str = Field(
        description="Without user, query and fragment. For a file of your own, the path or s3:// address in "
        "its prompt file."
    )
    facts: ReferenceFacts | None = Field(description="Null when the file was not probed.")


class SourceTask(BaseModel):
    """The task that rendered a video whose watermark another task removed, and its cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: int = Field(description="Its order in the ledger.")
    task_id: str = Field(description="The vendor's id of the task.")
    task_type: str = Field(description="The model.")
    points_charged: int | None = Field(
        description="Points that were charged for it; null when the vendor did not report it."
    )
    estimated_points: int = Field(description="The estimate before its order, in points.")
    price_table: str = Field(description="The price table of that estimate.")
    price_formula: str = Field(description="The calculation of that estimate.")


class Manifest(BaseModel):
    """The facts of a finished order, written last: where a manifest exists, video and poster are complete.

    Names are those of the ledger's columns. Times are UTC, money is integer points (10,000,000 points are
    1 USD), hashes are SHA-256 in hex. It contains no secret and no signed URL.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )

    schema_id: Literal["urn:seedance-dagster:manifest:1"] = Field(
        default=SCHEMA_ID, alias="$schema", description="This schema's `$id`: a name, not an address."
    )
    schema_version: Literal[1] = Field(default=1, description="The version of the schema.")

    prompt_set: str = Field(description="The prompt set.")
    partition: str = Field(description="The prompt's id, with the number of the take after the first.")
    fingerprint: str = Field(description="Changes exactly when the rendering would change.")
    take: int = Field(
        description="The number of the take, from 1; each take of a request is a separate video."
    )
    scope: str = Field(description="Empty, or the fresh prompt that the video was made for.")
    attempt: int = Field(description="From 1 among the orders of the same fingerprint and take.")
    tags: dict[str, str] = Field(description="The prompt's tags.")

    rights: dict[str, dict[str, str]] | None = Field(
        default=None,
        exclude_if=lambda rights: rights is None,
        description="License, holder, source or a text on the rights of the prompt (`prompt`) and of its "
        "references (`image1`, as the prompt counts them), at the time of the order; absent where none "
        "were named.",
    )
    request: dict[str, Any] = Field(
        description="The body of the POST for the video; reference URLs are without user, query and fragment."
    )
    references: list[Reference] = Field(description="The references of the request, kind by kind.")

    source: SourceTask | None = Field(
        description="The task that rendered the video with its watermark; null for a video that is stored as "
        "it was rendered. Everything below is about the task that removed the watermark."
    )
    task_id: str = Field(description="The vendor's id of the task.")
    vendor_created_at: datetime | None = Field(description="The time at which the vendor accepted the task.")
    vendor_started_at: datetime | None = Field(description="The time at which rendering began.")
    vendor_ended_at: datetime | None = Field(description="The time at which rendering ended.")
    vendor_logs: list[str] = Field(description="The vendor's log lines, with their URLs redacted.")

    points_held: int | None = Field(description="Points that the vendor held while the task was open.")
    points_charged: int | None = Field(
        description="Points that were charged; null when the vendor did not report it."
    )
    estimated_points: int = Field(description="The estimate before the order, in points.")
    price_table: str = Field(description="The price table of the estimate.")
    price_formula: str = Field(description="The calculation of the estimate.")

    run_id: str = Field(description="The Dagster run that ordered the video.")
    job_name: str | None = Field(description="The job of that run.")
    run_tags: dict[str, str] = Field(description="The tags that users gave that run.")
    idempotency_key: str = Field(description="The backfill, or the first run, that requested the video.")
    ordered_at: datetime = Field(description="The time of the order.")
    submitted_at: datetime | None = Field(description="The time at which the order was sent.")

    video_key: str = Field(description="The video's key in the bucket of this manifest.")
    poster_key: str | None = Field(description="The poster's key; null when there is none.")
    preview_key: str | None = Field(
        default=None,
        exclude_if=lambda key: key is None,
        description="The key of a copy in H.264 for browsers that do not play the video; absent where "
        "there is none.",
    )
    manifest_key: str = Field(description="This manifest's key.")
    size_bytes: int = Field(description="Size of the stored video.")
    poster_size_bytes: int | None = Field(description="Size of the poster.")
    sha256: str = Field(description="Hash of the stored video.")
    delivered_sha256: str = Field(description="Hash of the bytes that the vendor delivered.")
    poster_sha256: str | None = Field(description="Hash of the poster.")
    credential: dict[str, Any] | None = Field(description="The content credential in the stored video.")

    duration_s: float | None = Field(
        description="Length of the video in seconds; null, like the fields below, when it is unreadable."
    )
    width: int | None = Field(description="Pixels, as a player shows it.")
    height: int | None = Field(description="Pixels, as a player shows it.")
    codec: str | None = Field(description='The codec of the video stream, such as "h264".')
    fps: float | None = Field(description="Frames per second.")
    bit_depth: int | None = Field(description="Bits of each component, such as 10.")
    hdr: str | None = Field(description='"pq" or "hlg"; null for standard range.')
    audio_codec: str | None = Field(description='The codec of the audio track, such as "aac".')
    audio_channels: int | None = Field(description="0 when there is no audio track.")
    audio_silent: bool | None = Field(
        description="True when nothing can be heard; null when that is not known."
    )
    video_problem: str | None = Field(
        description="Why the stored file cannot be read as a video, although it is whole; null when it can."
    )
    poster_problem: str | None = Field(description="Why there is no poster; null when there is one.")
    preview_problem: str | None = Field(
        default=None,
        exclude_if=lambda problem: problem is None,
        description="Why there is no preview although the video needs one; absent otherwise.",
    )

    package_version: str | None = Field(description="The seedance-dagster that stored the video.")
    code_version: str | None = Field(description="The code version that Dagster compares.")

    @classmethod
    def of(cls, order: Order) -> Self:
        """Return the manifest of an order that has its artifacts; the same for the same order.

        Raises:
            ValueError: The order has no video yet.
        """
        columns = {name: getattr(order, name) for name in cls.model_fields if hasattr(order, name)}
        return cls(
            **columns
            | {
                "request": sent_request(sent_fields(order)),
                "references": list(references_of(order)),
                "tags": redact(order.tags, redact_url),
                "rights": redact(order.rights, redact_url),
                "run_tags": redact(order.run_tags or {}, redact_url),
                "vendor_logs": redact(order.vendor_logs or []),
            }
        )

    def to_json(self) -> bytes:
        """Return indented JSON, the same bytes for the same order."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def sent_request(request: dict[str, Any]) -> dict[str, Any]:
    """Return the body of the POST for an order's request, its reference URLs stripped.

    The prompt stays unchanged: it is the text that was rendered.
    """
    body = GenerationRequest.model_validate(request, strict=False).to_wire()
    for kind in REFERENCE_KINDS:
        if urls := body["input"].get(f"{kind}_urls"):
            body["input"][f"{kind}_urls"] = [strip_query(url) for url in urls]
    return body


def references_of(order: Order) -> Iterator[Reference]:
    """Yield the references of an order's request with the facts about them, kind by kind."""
    facts = {(fact.get("kind"), fact.get("position")): fact for fact in order.reference_facts or ()}
    for kind in REFERENCE_KINDS:
        for position, url in enumerate(order.request.get(f"{kind}_urls") or (), 1):
            entry = facts.get((kind, position))
            yield Reference(
                kind=kind,
                position=position,
                url=strip_query(url),
                facts=None if entry is None else _facts(entry),
            )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of manifests, as published in docs/schemas."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
    } | Manifest.model_json_schema(mode="serialization")


def _facts(fact: dict[str, Any]) -> ReferenceFacts:
    kept = {name: value for name, value in fact.items() if name not in ("kind", "position", "url")}
    return ReferenceFacts(**redact(kept))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
