"""A task as the vendor shows it: the task JSON of the page, and the rows of the history."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.emulator.record import Link, Outcome, Phase, TaskRecord
from seedance_dagster.emulator.settings import EmulatorSettings

ZERO_TIME = "0001-01-01T00:00:00Z"
HISTORY_WORDS = {
    Phase.PENDING: "waiting",
    Phase.PROCESSING: "running",
    Phase.COMPLETED: "finished",
    Phase.FAILED: "failed",
}
_ERROR_CODES = {Outcome.MODERATION: 10003, Outcome.MODERATION_EARLY: 10003}
_OTHER_FAILURE = 10000
_LOGS: dict[Outcome, list[str]] = {
    Outcome.COMPLETED: [],
    Outcome.MODERATION: [
        "submitted upstream",
        "upstream rejected the task: output flagged by content policy",
    ],
    Outcome.MODERATION_EARLY: ["content moderation: the prompt was flagged before submission"],
    Outcome.REAL_PERSON: [
        "submitted upstream",
        "upstream content restriction: the input image may contain a real person",
    ],
    Outcome.VENDOR_TROUBLE: [
        "submitted upstream",
        "upstream error: 503 service unavailable, retry 1",
        "upstream error: 503 service unavailable, retry 2",
        "upstream error: generation did not start, giving up",
    ],
    Outcome.AUDIO_TIMEOUT: ["uploading references", "upstream error: upload of audio timed out"],
}


def wire_time(moment: datetime | None, task_id: str) -> str:
    """A moment as the vendor writes it: RFC 3339 with nanoseconds, trailing zeros cut; None: not yet."""
    if moment is None:
        return ZERO_TIME
    fraction = f"{moment.microsecond:06d}{uuid.UUID(task_id).int % 1000:03d}".rstrip("0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' + fraction if fraction else ''}Z"


def task_json(
    record: TaskRecord,
    *,
    now: datetime,
    settings: EmulatorSettings,
    link_of: Callable[[TaskRecord], str],
) -> dict[str, Any]:
    """The whole task as POST and GET answer it.

    Args:
        record: The task.
        now: The present moment.
        settings: How the vendor behaves.
        link_of: Gives the output's present address, making one if it must.
    """
    phase = record.phase(now)
    failed = phase is Phase.FAILED
    logs: list[str] | None = _LOGS[record.outcome] if failed else []
    if "odd-status" in record.quirks and not failed:
        logs = None
    text = _error_text(record) if failed else ""
    return {
        "task_id": record.task_id,
        "model": "seedance",
        "task_type": record.task_type,
        "status": _status(record, phase),
        "config": {"service_mode": _service_mode(record), "webhook_config": {"endpoint": "", "secret": ""}},
        "input": record.request["input"] if settings.echo_input == "as_sent" else record.as_rendered,
        "output": {"video": link_of(record)} if _shows_link(record, phase) else None,
        "meta": {
            "created_at": wire_time(record.created_at, record.task_id),
            "started_at": wire_time(_started_at(record, phase), record.task_id),
            "ended_at": wire_time(record.ends_at if record.settled else None, record.task_id),
            "usage": _usage(record, settings),
            "is_using_private_pool": False,
        },
        "detail": None,
        "logs": logs,
        "error": {
            "code": _ERROR_CODES.get(record.outcome, _OTHER_FAILURE) if failed else 0,
            "raw_message": text,
            "message": text,
            "detail": None,
        },
    }


def history_row(record: TaskRecord, now: datetime) -> dict[str, Any]:
    """One row of the history: other names, other status words, no prompt."""
    return {
        "id": record.number,
        "task_id": record.task_id,
        "task_model": "seedance",
        "action": record.task_type,
        "service_mode": "public",
        "status": HISTORY_WORDS[record.phase(now)],
        "usage": record.held + record.charged + record.penalty,
        "usage_type": "point",
        "created_at": wire_time(record.created_at, record.task_id),
        "updated_at": wire_time(record.ends_at if record.settled else record.created_at, record.task_id),
    }


def link_is_alive(link: Link, now: datetime, settings: EmulatorSettings) -> bool:
    """Whether a link still leads to the file."""
    return not link.dead and now - link.issued_at < timedelta(seconds=settings.link_seconds)


def _status(record: TaskRecord, phase: Phase) -> str:
    if "odd-status" not in record.quirks:
        return phase.value
    if phase is Phase.COMPLETED:
        return "success" if record.gets_after_end == 1 else "Completed\t"
    words = {
        Phase.PENDING: ("starting", "retry", "staged"),
        Phase.PROCESSING: ("running", "Processing"),
        Phase.FAILED: ("Failed",),
    }
    choice = words[phase]
    return choice[record.gets % len(choice)]


def _shows_link(record: TaskRecord, phase: Phase) -> bool:
    if record.outcome is not Outcome.COMPLETED or "missing-url" in record.quirks:
        return False
    if phase is Phase.COMPLETED:
        return record.gets_after_end > (record.quirks.get("late-url") or 0)
    return "url-while-pending" in record.quirks


def _usage(record: TaskRecord, settings: EmulatorSettings) -> dict[str, Any]:
    consume = record.charged + (record.penalty if settings.penalty_in_usage else 0)
    frozen = record.held
    if (
        record.settled
        and record.outcome is Outcome.COMPLETED
        and settings.frozen_after_completion == "consume"
    ):
        frozen = consume
    return {"type": "point", "frozen": frozen, "consume": consume}


def _started_at(record: TaskRecord, phase: Phase) -> datetime | None:
    never = record.outcome is Outcome.MODERATION_EARLY or phase is Phase.PENDING
    return None if never else record.starts_at


def _service_mode(record: TaskRecord) -> str:
    config = record.request.get("config")
    mode = config.get("service_mode") if isinstance(config, dict) else ""
    return mode if isinstance(mode, str) else ""


def _error_text(record: TaskRecord) -> str:
    moderated = record.outcome in _ERROR_CODES
    return "content moderation rejected the task" if moderated else "failed to generate, please try again"
