"""The manifest beside each video: what was asked, by whom, what it cost, and which bytes came.

It is made of one row of the ledger and nothing else, so that a lost one can be written again, byte by byte.
Its JSON Schema is generated from the model: `python -m seedance_dagster.storage.manifest > FILE`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.ledger.order import Order
from seedance_dagster.net.redaction import redact, redact_url, strip_query

SCHEMA_ID: Final = "urn:seedance-dagster:manifest:1"
_KINDS = ("image", "video", "audio")


class ReferenceFacts(BaseModel):
    """What a look at a reference found before the order."""

    model_config = ConfigDict(frozen=True, extra="allow")

    media_type: str | None = Field(default=None, description='By its first bytes, such as "video/mp4".')
    size_bytes: int | None = None
    sha256: str | None = Field(default=None, description="Null when it was too large to be read whole.")
    duration_s: float | None = Field(default=None, description="Null for what has none.")


class Reference(BaseModel):
    """One reference of the request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["image", "video", "audio"]
    position: int = Field(description="From 1 among those of its kind, as the prompt names it.")
    url: str = Field(description="Without user, query and fragment.")
    facts: ReferenceFacts | None = Field(description="Null when nobody looked.")


class Manifest(BaseModel):
    """One finished order of a video; written last, so that its presence means that all else is there.

    Names are those of the ledger's columns. Times are UTC, money is integer points (10,000,000 points are
    1 USD), hashes are SHA-256 in hex. No secret and no signed URL stands in it.
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
    schema_version: Literal[1] = 1

    prompt_set: str
    partition: str
    fingerprint: str = Field(description="Changes exactly when what would be rendered changes.")
    attempt: int = Field(description="From 1 among the orders of the same partition and fingerprint.")
    tags: dict[str, str] = Field(description="The prompt's own.")

    request: dict[str, Any] = Field(description="The body that was sent; reference URLs are bare.")
    references: list[Reference]

    task_id: str
    vendor_created_at: datetime | None
    vendor_started_at: datetime | None
    vendor_ended_at: datetime | None
    vendor_logs: list[str] = Field(description="The vendor's lines; URLs in them are bare.")

    points_held: int | None
    points_charged: int | None = Field(description="Null when the vendor did not tell it.")
    estimated_points: int
    price_table: str
    price_formula: str

    run_id: str = Field(description="The Dagster run that ordered.")
    job_name: str | None = Field(description="Its job.")
    run_tags: dict[str, str] = Field(description="What people tagged that run with.")
    idempotency_key: str = Field(description="The backfill or first run that asked.")
    ordered_at: datetime
    submitted_at: datetime | None

    video_key: str = Field(description="In the bucket that holds this manifest.")
    poster_key: str
    manifest_key: str
    size_bytes: int
    poster_size_bytes: int | None
    sha256: str = Field(description="Of the stored video.")
    delivered_sha256: str = Field(description="Of the bytes that the vendor delivered.")
    poster_sha256: str | None
    credential: dict[str, Any] | None = Field(description="Of the content credential in the stored video.")

    duration_s: float
    width: int
    height: int
    codec: str
    fps: float | None

    package_version: str | None = Field(description="Of the seedance-dagster that stored the video.")
    code_version: str | None = Field(description="Its code version in Dagster.")

    @classmethod
    def of(cls, order: Order) -> Self:
        """The manifest of an order that has its artifacts; the same for the same row of the ledger.

        Raises:
            ValueError: The order has no video yet.
        """
        own = {name: getattr(order, name) for name in cls.model_fields if hasattr(order, name)}
        return cls(
            **own
            | {
                "request": sent_request(order.request),
                "references": list(references_of(order)),
                "tags": redact(order.tags, redact_url),
                "run_tags": redact(order.run_tags or {}, redact_url),
                "vendor_logs": redact(order.vendor_logs or []),
            }
        )

    def to_json(self) -> bytes:
        """Indented JSON, the same bytes for the same row of the ledger."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def sent_request(request: dict[str, Any]) -> dict[str, Any]:
    """The body of the POST for an order's request, its reference URLs bare.

    The prompt stays as it is: it is what was rendered.
    """
    body = GenerationRequest.model_validate(request, strict=False).to_wire()
    for kind in _KINDS:
        if urls := body["input"].get(f"{kind}_urls"):
            body["input"][f"{kind}_urls"] = [strip_query(url) for url in urls]
    return body


def references_of(order: Order) -> Iterator[Reference]:
    """The references of an order's request with what is known of them, kind by kind."""
    facts = {(fact.get("kind"), fact.get("position")): fact for fact in order.reference_facts or ()}
    for kind in _KINDS:
        for position, url in enumerate(order.request.get(f"{kind}_urls") or (), 1):
            found = facts.get((kind, position))
            yield Reference(
                kind=kind,
                position=position,
                url=strip_query(url),
                facts=None if found is None else _facts(found),
            )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of manifests, as published in docs/schemas."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
    } | Manifest.model_json_schema(mode="serialization")


def _facts(fact: dict[str, Any]) -> ReferenceFacts:
    kept = {name: value for name, value in fact.items() if name not in ("kind", "position", "url")}
    return ReferenceFacts(**redact(kept))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
