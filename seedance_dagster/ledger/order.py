"""An order as the ledger knows it: what was asked, where it stands, what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where an order stands; docs/architecture.md draws the transitions."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    UNCERTAIN = "uncertain"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    STORED = "stored"
    REJECTED = "rejected"
    FAILED = "failed"


class Reported(StrEnum):
    """What Dagster was told of an order."""

    SUBMITTED = "submitted"
    STORED = "stored"
    OBSERVED = "observed"
    """Of its video, while another order answered the partition better."""


AT_VENDOR = frozenset({State.CLAIMED, State.UNCERTAIN, State.SUBMITTED})
"""States in which a task may be running (or billed) at the vendor."""

OPEN = frozenset({State.QUEUED, State.CLAIMED, State.UNCERTAIN, State.SUBMITTED, State.SUCCEEDED})
"""States that still lead somewhere without anybody's doing."""

RESERVED_STATES = OPEN - {State.SUCCEEDED}
"""States whose money is reserved: nothing is charged yet, and it may be."""

MANY_TRANSFER_FAILURES = 5
"""Broken transfers in a row, about five minutes of trying, after which a person should know."""


@dataclass(frozen=True, kw_only=True)
class NewOrder:
    """A validated request that is to be ordered for one partition.

    Attributes:
        request: The request as JSON (`GenerationRequest.model_dump(mode="json")`).
        estimated_points: Upper estimate of the charge, in points.
        retries: How many further attempts vendor trouble may start by itself.
        reference_facts: What is known of the references, one entry each; None when nobody looked. An
            entry names its `kind` ("image", "video", "audio") and `position` (from 1, as in the text);
            whatever else it holds goes into the manifest, URLs in it without their query.
    """

    prompt_set: str
    partition: str
    fingerprint: str
    request: dict[str, Any]
    estimated_points: int
    price_table: str
    price_formula: str
    tags: dict[str, str] = field(default_factory=dict)
    retries: int = 1
    reference_facts: list[dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """One row of the ledger: one attempt at one video. Times are UTC, money is points."""

    order_id: int
    prompt_set: str
    partition: str
    fingerprint: str
    attempt: int
    state: State
    request: dict[str, Any] = field(repr=False)  # its links may be signed
    estimated_points: int
    price_table: str
    price_formula: str
    tags: dict[str, str]
    retries: int
    idempotency_key: str
    run_id: str
    ordered_at: datetime
    job_name: str | None = None
    run_tags: dict[str, str] | None = None
    reference_facts: list[dict[str, Any]] | None = None
    booked_at: datetime | None = None
    claimed_at: datetime | None = None
    submitted_at: datetime | None = None
    due_at: datetime | None = None
    polls: int = 0
    lease_owner: str | None = None
    task_id: str | None = None
    points_held: int | None = None
    points_charged: int | None = None
    vendor_created_at: datetime | None = None
    vendor_started_at: datetime | None = None
    vendor_ended_at: datetime | None = None
    vendor_logs: list[str] | None = None
    video_url: str | None = field(default=None, repr=False)  # may be signed
    error_class: str | None = None
    error_message: str | None = None
    transfer_failures: int = 0
    video_key: str | None = None
    poster_key: str | None = None
    manifest_key: str | None = None
    size_bytes: int | None = None
    poster_size_bytes: int | None = None
    sha256: str | None = None
    poster_sha256: str | None = None
    delivered_sha256: str | None = None
    credential: dict[str, Any] | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    codec: str | None = None
    fps: float | None = None
    package_version: str | None = None
    code_version: str | None = None
    stored_at: datetime | None = None
    absent_since: datetime | None = None
    reported: Reported | None = None

    @property
    def charge_unknown(self) -> bool:
        """True for a task that ended without the vendor's telling whether it charged for it."""
        return self.state not in RESERVED_STATES and self.task_id is not None and self.points_charged is None

    @property
    def task_type(self) -> str:
        """The vendor's task type of the request."""
        return str(self.request["task_type"])
