"""Wire models of the vendor's API: strict in what is sent, tolerant in what is received.

Names and shapes are from the vendor's page (Seedance 2, 2026-04-06). Words that are not on it were
observed by clients; they only make reading more tolerant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from sys import intern
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from seedance_dagster.api.shapes import (
    error_texts,
    json_in,
    names_in,
    status_meaning,
    texts_of,
    video_link,
)
from seedance_dagster.api.values import as_mapping, identifier, parse_time, points, text, whole_number
from seedance_dagster.api.webhook import echoed_mark


class Mode(StrEnum):
    """A use of references; the vendor requires one of these words."""

    TEXT_TO_VIDEO = "text_to_video"
    FIRST_LAST_FRAMES = "first_last_frames"
    OMNI_REFERENCE = "omni_reference"


ReferenceKind = Literal["image", "video", "audio"]
REFERENCE_KINDS: tuple[ReferenceKind, ...] = get_args(ReferenceKind)
"""The kinds of references; a request has a field of URLs for each."""

REMOVE_WATERMARK = "remove-watermark"
"""The type of a task that takes the watermark off a video."""


class GenerationRequest(BaseModel):
    """A validated request for a video, exactly as the vendor will render it.

    Built by `seedance_dagster.prompts`, which checks every rule of the vendor's page first.

    Attributes:
        task_type: The model, such as "seedance-2-fast".
        prompt: The text, up to 4,000 characters.
        mode: The use of references.
        duration: Whole seconds of output.
        aspect_ratio: Such as "16:9"; None leaves it to the vendor (its default, or the first image's).
        image_urls: Image references, in the order in which the text counts them.
        video_urls: Video references.
        audio_urls: Audio references.
        resolution: Such as "480p"; None leaves it to the vendor.
        audio: Whether the video has sound; None leaves it to the vendor.
        remove_watermark: Whether a second task takes the watermark off its video; not sent with the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task_type: str
    prompt: str
    mode: Mode
    duration: int = 5
    aspect_ratio: str | None = None
    image_urls: tuple[str, ...] = ()
    video_urls: tuple[str, ...] = ()
    audio_urls: tuple[str, ...] = ()
    resolution: str | None = None
    audio: bool | None = None
    remove_watermark: bool = False

    @property
    def with_watermark(self) -> GenerationRequest:
        """The request alone, without the removal of its video's watermark."""
        return self.model_copy(update={"remove_watermark": False}) if self.remove_watermark else self

    def references(self) -> Iterator[tuple[ReferenceKind, int, str]]:
        """Yield kind, position and URL of each reference; positions count from 1 within a kind."""
        for kind in REFERENCE_KINDS:
            for position, url in enumerate(getattr(self, f"{kind}_urls"), 1):
                yield kind, position, url

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON body of the POST, without fields that are not set."""
        ours = {"task_type", "remove_watermark"}
        fields = self.model_dump(mode="json", exclude=ours, exclude_none=True)
        fields = {name: value for name, value in fields.items() if value not in ([], ())}
        return {"model": "seedance", "task_type": self.task_type, "input": fields}


class RemovalRequest(BaseModel):
    """A request to take the watermark off a video; `video_url` is the link to it."""

    model_config = ConfigDict(frozen=True)

    video_url: str

    @property
    def task_type(self) -> str:
        """The vendor's task type."""
        return REMOVE_WATERMARK

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON body of the POST."""
        return {"model": "seedance", "task_type": REMOVE_WATERMARK, "input": {"video_url": self.video_url}}


TaskRequest = GenerationRequest | RemovalRequest
"""The request for a task."""


class TaskStatus(StrEnum):
    """A task's status, one word per meaning."""

    PENDING = "pending"
    PROCESSING = "processing"
    STAGED = "staged"
    COMPLETED = "completed"
    FAILED = "failed"
    ENDED = "ended"
    """Over without a video: cancelled, expired, and the like."""
    UNKNOWN = "unknown"


_POINT_UNITS = ("", "point", "points", "llm")


class Task(BaseModel):
    """A task as the vendor reports it.

    Attributes:
        status: The meaning of the vendor's word; an unknown word is not terminal.
        raw_status: The word itself.
        mark: The mark of the POST that made it, where the vendor gives it back.
        input: The request as the vendor understood it.
        output: The names in its output, for messages.
        video_url: The finished video; None before.
        points_held: `usage.frozen`, in points; may still repeat the charge after completion.
        points_charged: `usage.consume`, in points; None when the vendor does not report it.
        logs: On a failure these contain the real reason.
    """

    model_config = ConfigDict(frozen=True)

    task_id: str
    task_type: str
    status: TaskStatus
    raw_status: str
    mark: str | None = None
    input: dict[str, Any]
    output: str = "nothing"
    video_url: str | None
    points_held: int
    points_charged: int | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    logs: tuple[str, ...]
    error_code: int
    error_message: str

    def is_of_type(self, task_type: str) -> bool:
        """Return True unless it names another type; capitals make no difference."""
        return self.task_type.casefold() in ("", task_type.casefold())

    @classmethod
    def parse(cls, data: object, *, may_be_wrapped: bool = True) -> Task | None:
        """Parse the `data` of an envelope; return None when it has no task id.

        Args:
            data: The data.
            may_be_wrapped: Whether a task counts that is alone in a list, in a further envelope or in a text.
        """
        fields = _unwrapped(data) if may_be_wrapped else as_mapping(data)
        task_id = identifier(fields.get("task_id"))
        if not task_id:
            return None
        meta, error = as_mapping(fields.get("meta")), fields.get("error")
        usage = as_mapping(meta.get("usage"))
        if text(usage.get("type")).strip().casefold() not in _POINT_UNITS:
            usage = {}  # an amount in another unit is not known, rather than misread
        status = fields.get("status")
        raw_status, meaning = text(status), status_meaning(status) if isinstance(status, str) else None
        return cls(
            task_id=task_id,
            task_type=text(fields.get("task_type")).strip(),
            status=TaskStatus(meaning or TaskStatus.UNKNOWN),
            raw_status=raw_status.strip()[:100],
            mark=echoed_mark(fields.get("config")),
            input=as_mapping(fields.get("input")),
            output=names_in(fields.get("output")),
            video_url=video_link(fields),
            points_held=points(usage.get("frozen")) or 0,
            points_charged=points(usage.get("consume")),
            created_at=parse_time(meta.get("created_at")),
            started_at=parse_time(meta.get("started_at")),
            ended_at=parse_time(meta.get("ended_at")),
            logs=tuple(texts_of(fields.get("logs") or fields.get("log"))),
            error_code=whole_number(as_mapping(error).get("code")) or 0,
            error_message=" ".join(dict.fromkeys(error_texts(error))),
        )


def holds_task(task_id: str, data: object) -> bool:
    """Return True for data that report the state of that task, which counts in an error reply too."""
    task = Task.parse(data)
    return task is not None and task.task_id == task_id and task.status is not TaskStatus.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """A task in the history, without its prompt and with status words of the history's own.

    There may be hundreds of thousands, so it is a small dataclass, not a pydantic model.
    """

    task_id: str
    task_type: str
    status: str
    points: int | None
    created_at: datetime | None


class HistoryPage(BaseModel):
    """A page of the task history, newest first.

    Attributes:
        rows: The tasks.
        total: Number of tasks on all pages; None when the vendor does not say.
    """

    model_config = ConfigDict(frozen=True)

    rows: tuple[HistoryRow, ...]
    total: int | None

    @classmethod
    def parse(cls, data: object) -> HistoryPage | None:
        """Parse the `data` of a history's envelope; return None when it has no list of tasks."""
        fields = as_mapping(data)
        entries = fields.get("data")
        if entries is None and "data" in fields:
            entries = []  # an empty page may be null
        if not isinstance(entries, list):
            return None
        rows = []
        for row in map(as_mapping, entries):
            task_id = identifier(row.get("task_id"))
            if not task_id:
                return None  # an unreadable row does not prove that a task is absent
            rows.append(
                HistoryRow(
                    task_id=task_id,
                    task_type=intern(text(row.get("action")).strip()),
                    status=intern(text(row.get("status"))),
                    points=points(row.get("usage")),
                    created_at=parse_time(row.get("created_at")),
                )
            )
        return cls(rows=tuple(rows), total=points(fields.get("total")))


def _unwrapped(data: object, depth: int = 3) -> dict[str, Any]:
    """Return the fields of a task, which may be alone in a list, in a further envelope, or in a text."""
    if isinstance(data, str):
        data = json_in(data)
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    fields = as_mapping(data)
    inner = next((fields[name] for name in ("data", "task", "result") if fields.get(name)), None)
    return _unwrapped(inner, depth - 1) if inner and depth and "task_id" not in fields else fields
