"""The history of tasks, newest first and paged: other names, other status words, no prompts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.emulator.record import Phase, TaskRecord
from seedance_dagster.emulator.responses import invalid
from seedance_dagster.emulator.vendor import Vendor
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.emulator.view import wire_time

_RUNNING, _FINISHED = "running", "finished"
_HISTORY_WORDS = {
    Phase.PENDING: "waiting",
    Phase.PROCESSING: _RUNNING,
    Phase.COMPLETED: _FINISHED,
    Phase.FAILED: "failed",
}
_DEFAULT_PAGE_SIZE = 10
_MAX_PAGE_SIZE = 100
_MAX_UNIX_TIME = 253_402_300_799


def history_page(
    vendor: Vendor, query: Mapping[str, str], link_of: Callable[[TaskRecord], str | None]
) -> dict[str, Any]:
    """Return a page of the history; `start_time` and `end_time` are unix seconds, both included.

    Args:
        vendor: The tasks.
        query: The parameters of the call.
        link_of: Returns the newest URL of a task's output; None before there is one.

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
        and _fits_model(query.get("model"), vendor.settings)
        and _lot(record, "hidden") >= vendor.settings.history_hidden_share
    ]
    if vendor.settings.history_shuffled:
        records.sort(key=lambda record: _lot(record, "place"))
    rows = [
        history_row(record, _shown_status(record, now, vendor.settings), link_of(record))
        for record in records[(page - 1) * size : page * size]
    ]
    return {
        "data": None if not rows and vendor.settings.history_empty_page == "null" else rows,
        "page": page,
        "size": size,
        "total": len(records),
    }


def history_row(record: TaskRecord, status: str, link: str | None) -> dict[str, Any]:
    """Return a row of the history: other names, other status words, no prompt."""
    return {
        "id": record.number,
        "task_id": record.task_id,
        "task_model": "seedance",
        "action": record.task_type,
        "service_mode": "public",
        "status": status,
        "usage": record.held + record.charged + record.penalty,
        "usage_type": "point",
        "created_at": wire_time(record.created_at, record.task_id),
        "detail": {"output": {"video": link}} if link else None,
        "updated_at": wire_time(record.ends_at if record.settled else record.created_at, record.task_id),
    }


def _shown_status(record: TaskRecord, now: datetime, settings: EmulatorSettings) -> str:
    """Return the status that the history shows, which may be late or wrong."""
    seen_at = now - timedelta(seconds=settings.history_states_late_seconds)
    has_ended = record.settled and record.ends_at <= seen_at
    if _lot(record, "wrong") < settings.history_wrong_share:
        return _RUNNING if has_ended else _FINISHED
    return _RUNNING if record.settled and not has_ended else _HISTORY_WORDS[record.phase(now)]


def _lot(record: TaskRecord, purpose: str) -> float:
    """Return a number in [0, 1) that a task always keeps, a different one for each purpose."""
    return zlib.crc32(f"{purpose} {record.task_id}".encode()) / 2**32


def _fits_model(model: str | None, settings: EmulatorSettings) -> bool:
    """Return True for a row that the filter by model keeps; which of its values are valid is not known."""
    match settings.history_model_filter:
        case "works":
            return model in {None, "", "seedance"}
        case "ignored":
            return True
        case "empty":
            return not model


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
