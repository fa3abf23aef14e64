"""Tasks as the vendor shows them: the task JSON of its page, and the history, newest first and paged."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.emulator.record import Link, Outcome, Phase, TaskRecord
from seedance_dagster.emulator.responses import invalid
from seedance_dagster.emulator.vendor import Vendor
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

_ZERO_TIME = "0001-01-01T00:00:00Z"
_HISTORY_WORDS = {
    Phase.PENDING: "waiting",
    Phase.PROCESSING: "running",
    Phase.COMPLETED: "finished",
    Phase.FAILED: "failed",
}
_ERROR_CODES = {Outcome.MODERATION: 10003, Outcome.MODERATION_EARLY: 10003}
_OTHER_FAILURE = 10000
_DEFAULT_PAGE_SIZE = 10
_MAX_PAGE_SIZE = 100
_MAX_UNIX_TIME = 253_402_300_799
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
    Outcome.REFERENCE_LOST: ["create generation task: upload image"],
}


def wire_time(moment: datetime | None, task_id: str) -> str:
    """Format a time as the vendor does, RFC 3339 with nanoseconds; None means "not yet"."""
    if moment is None:
        return _ZERO_TIME
    fraction = f"{moment.microsecond:06d}{uuid.UUID(task_id).int % 1000:03d}".rstrip("0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' + fraction if fraction else ''}Z"


def task_json(
    record: TaskRecord,
    *,
    now: datetime,
    settings: EmulatorSettings,
    link_of: Callable[[TaskRecord], str],
) -> dict[str, Any]:
    """Return the whole task as POST and GET answer it.

    Args:
        record: The task.
        now: The present time.
        settings: The behaviour of the vendor.
        link_of: Returns the current URL of the output, creating one if needed.
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
        "config": {"service_mode": _service_mode(record), "webhook_config": _webhook(record, settings)},
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


def history_page(vendor: Vendor, query: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of the history; `start_time` and `end_time` are unix seconds, both included.

    Raises:
        Refusal: A parameter is out of range.
    """
    page = _whole_number(query, "page", 1, 1, _MAX_UNIX_TIME)
    size = _whole_number(query, "page_size", _DEFAULT_PAGE_SIZE, 1, _MAX_PAGE_SIZE)
    start = _whole_number(query, "start_time", 0, 0, _MAX_UNIX_TIME)
    end = _whole_number(query, "end_time", _MAX_UNIX_TIME, 0, _MAX_UNIX_TIME)
    now = vendor.now()
    newest = now - timedelta(seconds=vendor.settings.history_lag_seconds)
    records = [
        record
        for record in reversed(vendor.tasks.values())
        if record.created_at <= newest
        and start <= int(record.created_at.timestamp()) <= end
        and (record.settled or vendor.settings.history_lists_unfinished)
        and query.get("model") in {None, "", "seedance"}
    ]
    return {
        "data": [history_row(record, now) for record in records[(page - 1) * size : page * size]],
        "page": page,
        "size": size,
        "total": len(records),
    }


def history_row(record: TaskRecord, now: datetime) -> dict[str, Any]:
    """Return a row of the history: other names, other status words, no prompt."""
    return {
        "id": record.number,
        "task_id": record.task_id,
        "task_model": "seedance",
        "action": record.task_type,
        "service_mode": "public",
        "status": _HISTORY_WORDS[record.phase(now)],
        "usage": record.held + record.charged + record.penalty,
        "usage_type": "point",
        "created_at": wire_time(record.created_at, record.task_id),
        "updated_at": wire_time(record.ends_at if record.settled else record.created_at, record.task_id),
    }


def link_is_alive(link: Link, now: datetime, settings: EmulatorSettings) -> bool:
    """Return True while a link leads to the file."""
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
        late = record.quirks.get("late-url")
        return not late or record.gets_after_end > late
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


def _webhook(record: TaskRecord, settings: EmulatorSettings) -> dict[str, str]:
    return record.webhook if settings.webhook_echo == "as_sent" else {"endpoint": "", "secret": ""}


def _error_text(record: TaskRecord) -> str:
    moderated = record.outcome in _ERROR_CODES
    return "content moderation rejected the task" if moderated else "failed to generate, please try again"


def _whole_number(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = query.get(name)
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        raise invalid(f"{name} must be a whole number") from None
    if not low <= number <= high:
        raise invalid(f"{name} must be from {low} to {high}")
    return number
