"""What a trace tells: prompt, requests, orders, tasks, files and what Dagster was told, as plain values."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from seedance_dagster.ledger.order import Reported, State
from seedance_dagster.storage.manifest import Reference
from seedance_dagster.trace.origin import Form


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class FileTrace(_Part):
    """One file of an order in S3.

    Attributes:
        kind: "video", "poster" or "manifest".
        key: In the bucket.
        uri: The same with the bucket, where that is known.
        size_bytes: As the ledger has it.
        sha256: As the ledger has it, in hex.
        in_s3: What was seen there; None when nobody could look.
    """

    kind: str
    key: str
    uri: str
    size_bytes: int | None
    sha256: str | None
    in_s3: Literal["there", "missing", "other size"] | None


class TaskTrace(_Part):
    """The vendor's side of an order; times in UTC, money in points."""

    task_id: str
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    points_held: int | None
    points_charged: int | None
    logs: list[str]


class Step(_Part):
    """One row of an order's journal."""

    at: datetime
    actor: str
    from_state: str | None
    to_state: str
    detail: dict[str, Any]


class OrderTrace(_Part):
    """One attempt at one request. Names are the ledger's, times are UTC.

    Attributes:
        mark: What of this order was asked about, such as "video"; None when it is another.
        in_flight: True while it still leads somewhere by itself.
        shown: True for the video that its partition shows now.
        finished_at: When its video was stored or it ended without one.
        delivered_sha256: Of the video's bytes as the vendor delivered them.
        reported: What Dagster was told of it; None when nothing.
    """

    order_id: int
    attempt: int
    state: State
    mark: str | None
    in_flight: bool
    shown: bool
    idempotency_key: str
    run_id: str
    job_name: str | None
    run_tags: dict[str, str]
    tags: dict[str, str]
    ordered_at: datetime
    submitted_at: datetime | None
    finished_at: datetime | None
    estimated_points: int
    price_table: str
    price_formula: str
    references: list[Reference]
    error_class: str | None
    error_message: str | None
    task: TaskTrace | None
    files: list[FileTrace]
    delivered_sha256: str | None
    credential: dict[str, Any] | None
    duration_s: float | None
    width: int | None
    height: int | None
    code_version: str | None
    reported: Reported | None
    journal: list[Step]


class RequestTrace(_Part):
    """One request that a partition stood for, with all its orders.

    Attributes:
        fingerprint: Of the request.
        asked_now: True when the prompt set asks for this one, as Dagster was last told.
        prompt: The text.
        parameters: All else that was set, reference URLs aside.
        references: As its newest order knew them.
        orders: The oldest first.
    """

    fingerprint: str
    asked_now: bool
    prompt: str
    parameters: dict[str, Any]
    references: list[Reference]
    orders: list[OrderTrace]


class PartitionTrace(_Part):
    """One partition with everything that was ever ordered for it.

    Attributes:
        told_fingerprint: The request that Dagster was last told of; None when it was told nothing.
        in_flight: How many of its orders still lead somewhere.
        points_charged: For all its orders together.
        requests: The oldest first.
    """

    prompt_set: str
    partition: str
    told_fingerprint: str | None
    in_flight: int
    points_charged: int
    requests: list[RequestTrace]


class CredentialTrace(_Part):
    """What the content credential in a local file says; `state` tells how far it can be believed.

    Attributes:
        state: "invalid": something was changed since it was signed. "valid": nothing was.
            "trusted": nothing was, and the signer is trusted.
        reasons: What speaks against it.
    """

    state: str
    reasons: list[str]
    generator: str
    signed_by: str
    source_type: str | None
    model: str | None
    task_id: str | None
    delivered_sha256: str | None


class Trace(_Part):
    """Where a given thing comes from and what became of it.

    Attributes:
        given: What was asked about.
        form: What kind of thing it is.
        notes: What else should be known, in words.
        credential: That of a local file, where it was looked for and there is one.
        partitions: More than one only where several videos have the same bytes.
    """

    given: str
    form: Form
    notes: list[str]
    credential: CredentialTrace | None
    partitions: list[PartitionTrace]
