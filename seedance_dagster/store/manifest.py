"""The manifest beside each video: what was asked, by whom, what it cost, and which bytes came."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict

from seedance_dagster.ledger.order import Order
from seedance_dagster.media import Probe
from seedance_dagster.store.keys import ObjectKeys

_URL_LISTS = ("image_urls", "video_urls", "audio_urls")


class Manifest(BaseModel):
    """One finished order; written last, so that its presence means that video and poster are complete.

    Times are UTC, money is integer points (10,000,000 points = 1 USD). Reference URLs stand without
    their query, which may hold a signature.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    prompt_set: str
    partition: str
    fingerprint: str
    attempt: int
    request: dict[str, Any]
    tags: dict[str, str]
    task_id: str | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    points_held: int | None
    points_charged: int | None
    estimated_points: int
    price_table: str
    price_formula: str
    run_id: str
    cause: str
    accepted_at: datetime
    submitted_at: datetime | None
    video_key: str
    poster_key: str
    size_bytes: int
    sha256: str
    duration_s: float
    width: int
    height: int
    codec: str

    @classmethod
    def of(cls, order: Order, *, keys: ObjectKeys, probe: Probe, sha256: str) -> Self:
        """The manifest of an order whose bytes were probed and hashed."""
        return cls(
            prompt_set=order.prompt_set,
            partition=order.partition,
            fingerprint=order.fingerprint,
            attempt=order.attempt,
            request=order.request
            | {name: [bare_url(url) for url in order.request.get(name) or ()] for name in _URL_LISTS},
            tags=order.tags,
            task_id=order.task_id,
            created_at=order.vendor_created_at,
            started_at=order.vendor_started_at,
            ended_at=order.vendor_ended_at,
            points_held=order.points_held,
            points_charged=order.points_charged,
            estimated_points=order.estimated_points,
            price_table=order.price_table,
            price_formula=order.price_formula,
            run_id=order.run_id,
            cause=order.cause,
            accepted_at=order.accepted_at,
            submitted_at=order.submitted_at,
            video_key=keys.video,
            poster_key=keys.poster,
            size_bytes=probe.size_bytes,
            sha256=sha256,
            duration_s=probe.duration_s,
            width=probe.width,
            height=probe.height,
            codec=probe.codec,
        )

    def to_json(self) -> bytes:
        """Indented JSON, the same bytes for the same order."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def bare_url(url: str) -> str:
    """A URL without user, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
