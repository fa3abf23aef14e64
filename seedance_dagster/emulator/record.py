"""A task as the vendor stores it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field


class Phase(StrEnum):
    """The progress of a task."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class Outcome(StrEnum):
    """The end of a task, decided when it is created."""

    COMPLETED = "completed"
    MODERATION = "moderation"
    MODERATION_EARLY = "moderation-early"
    COPYRIGHT = "copyright"
    REAL_PERSON = "real-person"
    VENDOR_TROUBLE = "vendor-trouble"
    UPLOAD_FAILED = "upload-failed"
    CANCELLED = "task-cancelled"
    EXPIRED = "task-expired"
    AUDIO_TIMEOUT = "audio-timeout"
    REFERENCE_LOST = "reference-lost"


class Link(BaseModel):
    """A URL under which the output can be downloaded for a while."""

    token: str
    issued_at: datetime
    dead: bool = False


class TaskRecord(BaseModel):
    """A task with its money in points; `held` is the amount that is frozen now."""

    task_id: str
    number: int
    source: str
    request: dict[str, Any]
    as_rendered: dict[str, Any]
    task_type: str
    mode: str
    prompt: str
    duration: int
    aspect_ratio: str
    resolution: str
    picture: str | None = None
    """The text in the picture, where it is not the prompt: that of the video whose watermark is removed."""
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    outcome: Outcome
    settled: bool = False
    price: int
    held: int
    charged: int = 0
    penalty: int = 0
    altered_charge: int | None = None
    markers: dict[str, int | None] = Field(default_factory=dict)
    quirks: dict[str, int | None] = Field(default_factory=dict)
    links: list[Link] = Field(default_factory=list)
    gets: int = 0
    gets_after_end: int = 0
    downloads: int = 0
    delivered: bool = False
    webhook_statuses: list[int] = Field(default_factory=list)

    @property
    def webhook(self) -> dict[str, str]:
        """The endpoint and the secret that the request gave; empty where it gave none."""
        config = self.request.get("config")
        webhook = config.get("webhook_config") if isinstance(config, dict) else None
        webhook = webhook if isinstance(webhook, dict) else {}
        texts = {name: webhook.get(name) for name in ("endpoint", "secret")}
        return {name: text if isinstance(text, str) else "" for name, text in texts.items()}

    def phase(self, now: datetime) -> Phase:
        """Return the task's phase at a time."""
        if self.settled:
            return Phase.COMPLETED if self.outcome is Outcome.COMPLETED else Phase.FAILED
        is_waiting = now < self.starts_at or now == self.created_at
        return Phase.PENDING if is_waiting else Phase.PROCESSING
