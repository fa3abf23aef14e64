"""Tasks as the vendor shows them: the task JSON of its page."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.emulator.outcomes import FAILURES
from seedance_dagster.emulator.record import Link, Outcome, Phase, TaskRecord
from seedance_dagster.emulator.task_shapes import reshape
from seedance_dagster.emulator.task_types import FEWER_RESTRICTIONS
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

_ZERO_TIME = "0001-01-01T00:00:00Z"


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
    failure = FAILURES[record.outcome] if phase is Phase.FAILED else None
    logs = list(failure.logs) if failure else None if "odd-status" in record.quirks else []
    text = failure.text if failure else ""
    task = {
        "task_id": record.task_id,
        "model": "seedance",
        "task_type": record.task_type,
        "status": _status(record, phase),
        "config": {"service_mode": _service_mode(record), "webhook_config": _webhook(record, settings)},
        "input": _echo(record, settings),
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
            "code": failure.code if failure else 0,
            "raw_message": text,
            "message": text,
            "detail": None,
        },
    }
    return reshape(task, record, phase, key=settings.api_key.get_secret_value())


def link_is_alive(link: Link, now: datetime, settings: EmulatorSettings) -> bool:
    """Return True while a link leads to the file."""
    return not link.dead and now - link.issued_at < timedelta(seconds=settings.link_seconds)


def _status(record: TaskRecord, phase: Phase) -> str:
    if phase is Phase.FAILED and FAILURES[record.outcome].status != phase.value:
        return FAILURES[record.outcome].status
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


def _echo(record: TaskRecord, settings: EmulatorSettings) -> dict[str, Any]:
    """Return `input`; where restrictions are fewer, references are the vendor's own copies."""
    echo: dict[str, Any] = record.request["input"] if settings.echo_input == "as_sent" else record.as_rendered
    if not record.task_type.endswith(FEWER_RESTRICTIONS):
        return echo
    copies = {
        name: [f"asset://asset-{record.number}-{position}" for position, _ in enumerate(echo[name], 1)]
        for name in ("image_urls", "video_urls")
        if echo.get(name)
    }
    return echo | copies


def _webhook(record: TaskRecord, settings: EmulatorSettings) -> dict[str, str]:
    return record.webhook if settings.webhook_echo == "as_sent" else {"endpoint": "", "secret": ""}
