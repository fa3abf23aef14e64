"""An order as the ledger holds it: its request, its state and its cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from seedance_dagster.api.wire import REMOVE_WATERMARK


class State(StrEnum):
    """The state of an order; docs/architecture.md draws the transitions."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    UNCERTAIN = "uncertain"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    STORED = "stored"
    REJECTED = "rejected"
    FAILED = "failed"


class Reported(StrEnum):
    """The event of an order that was last reported to Dagster for a partition."""

    ORDERED = "ordered"
    """A materialization of its task, before there was one at the vendor."""
    SUBMITTED = "submitted"
    STORED = "stored"
    OBSERVED = "observed"
    """An observation of its video, because a better order stood for the partition."""
    ENDED = "ended"
    """An observation of its end without a video, or nothing where a better order stood for the partition."""


IN_FLIGHT = frozenset({State.CLAIMED, State.UNCERTAIN, State.SUBMITTED})
"""States in which a task may be running, or billed, at the vendor."""

OPEN = frozenset({State.QUEUED, State.CLAIMED, State.UNCERTAIN, State.SUBMITTED, State.SUCCEEDED})
"""States that the engine still moves on automatically."""

ENDED = frozenset({State.REJECTED, State.FAILED})
"""States of an order that ended without a video."""

RESERVED_STATES = OPEN - {State.SUCCEEDED}
"""States whose money is reserved: nothing is charged yet, and it may be."""

UNREADABLE = "unreadable"
"""The error class of an order whose task the vendor refuses to show, although it shows others."""

KEY_REFUSED = "key_refused"
"""The error class of an order whose task cannot be read, because the vendor refuses the API key."""

FOREIGN_REPLY = "foreign_reply"
"""The error class of an uncertain order whose POST was answered with a task of another request."""

UNFAMILIAR = "unfamiliar"
"""The error class of an order whose task reports something unknown; it is polled until it ends."""

WITHDRAWN = "withdrawn"
"""The error class of an order that was taken out of the queue before it was sent."""

MANY_TRANSFER_FAILURES = 5
"""Failed transfers in a row, about five minutes of trying, after which a person should know."""


@dataclass(frozen=True, kw_only=True)
class NewOrder:
    """A validated request that is to be ordered for one partition.

    It asks for one take of a request; set and partition say where the order comes from.

    Attributes:
        take: The number of the take, from 1; each take of a request is a separate video.
        scope: Empty, or the fresh prompt that the order is made for; see `PromptPartition`.
        request: The request as JSON (`GenerationRequest.model_dump(mode="json")`).
        estimated_points: The expected charge at the price of that moment, in points.
        reserved_points: The highest charge at any price that could apply, in points.
        retries: The number of further attempts that may start automatically after vendor trouble.
        reference_facts: Facts about the references, one entry each; None when they were not probed.
            An entry names its `kind` ("image", "video", "audio") and `position` (from 1, as in the text);
            everything else in it goes into the manifest, URLs without their query. For one of the team's own
            files, `sent_url` is the link under which it was sent, without its query.
        rights: The rights of the prompt and its references at the time of the order; None where none were
            named.
    """

    prompt_set: str
    partition: str
    fingerprint: str
    take: int = 1
    scope: str = ""
    request: dict[str, Any] = field(repr=False)  # its links may be signed
    estimated_points: int
    reserved_points: int
    price_table: str
    price_formula: str
    tags: dict[str, str] = field(default_factory=dict)
    retries: int = 1
    reference_facts: list[dict[str, Any]] | None = None
    rights: dict[str, dict[str, str]] | None = None


@dataclass(frozen=True, kw_only=True)
class NewRemoval(NewOrder):
    """An order to remove the watermark from another order's video.

    Attributes:
        source: The other order; it is placed together with this one where no earlier order answers it.
    """

    source: NewOrder


@dataclass(frozen=True, kw_only=True)
class Order(NewOrder):
    """One row of the ledger: one attempt at one video. Times are UTC, money is points.

    The table is made of these fields (see `schema`).

    Attributes:
        attempt: From 1 among the orders of the same fingerprint and take.
        booked_at: When the first attempt was ordered: the budgets of that day and month pay.
        source_order_id: The order from whose video it removes the watermark; None for one that renders a
            video.
        source: The facts of that order's task that go into the manifest, as known when the POST left.
        source_url: The link to that video, as it was sent.
        due_at: When the next step may be taken; None when nothing is left to do, or its source is not ready.
        lease_owner: The worker that the order is leased to.
        leased_at: When the lease was last renewed; it runs out at `leased_until`.
        account: A hash of API key and API root: the account that its POST was sent to.
        mark: The mark in the webhook address of the last POST; None where it carried none.
        sent_at: When the POST of its last claim was about to leave; None until then.
        lost_at: When the reply to that POST was given up; None after a clear reply.
        ended_at: When it ended without a video, by our clock.
        absent_since: When the vendor's history was first read completely without a task for this uncertain
            order.
        delivered_sha256: The SHA-256 of the bytes that the vendor delivered; `sha256` differs when a
            credential was signed into the video.
        audio_channels: 0 where the video has no sound; None where that is not known.
        video_problem: Why the stored file cannot be read as a video, if so; its properties are unknown then.
        poster_problem: Why it has no poster, if so.
        preview_key: The key of a copy that browsers play; None where they play the video itself, or there is
            no copy.
        preview_problem: Why it has no preview although it needs one, if so.
        package_version: The version of this package that stored the video; `code_version` is the one that
            Dagster compares.
    """

    order_id: int
    attempt: int
    state: State
    idempotency_key: str
    run_id: str
    job_name: str | None = None
    run_tags: dict[str, str] | None = None
    ordered_at: datetime
    booked_at: datetime
    source_order_id: int | None = None
    source: dict[str, Any] | None = None
    source_url: str | None = field(default=None, repr=False)  # may be signed
    claimed_at: datetime | None = None
    account: str | None = None
    mark: str | None = None
    sent_at: datetime | None = None
    lost_at: datetime | None = None
    submitted_at: datetime | None = None
    due_at: datetime | None = None
    polls: int = 0
    lease_owner: str | None = None
    leased_at: datetime | None = None
    leased_until: datetime | None = None
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
    bit_depth: int | None = None
    hdr: str | None = None
    audio_codec: str | None = None
    audio_channels: int | None = None
    audio_silent: bool | None = None
    video_problem: str | None = None
    poster_problem: str | None = None
    preview_key: str | None = None
    preview_problem: str | None = None
    package_version: str | None = None
    code_version: str | None = None
    stored_at: datetime | None = None
    ended_at: datetime | None = None
    absent_since: datetime | None = None

    @property
    def charge_unknown(self) -> bool:
        """Return True for a task that ended without the vendor reporting its charge."""
        return self.state not in RESERVED_STATES and self.task_id is not None and self.points_charged is None

    @property
    def charge_or_hold(self) -> int:
        """Return the points that the order counts for: its final charge, or its hold until that is known."""
        if self.points_charged is not None and self.state not in RESERVED_STATES:
            return self.points_charged
        return max(self.reserved_points, self.points_held or 0)

    @property
    def video_points(self) -> int | None:
        """Return the cost of its video, with that of the source if it is a removal; None if unknown."""
        source = 0 if self.source is None else self.source["points_charged"]
        return None if self.points_charged is None or source is None else self.points_charged + source

    @property
    def model(self) -> str:
        """Return the task type that rendered the video."""
        return str(self.request["task_type"])

    @property
    def task_type(self) -> str:
        """Return the type of its own task."""
        return self.model if self.source_order_id is None else REMOVE_WATERMARK
