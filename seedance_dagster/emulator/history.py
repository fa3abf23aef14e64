"""The task history: newest first, paged, late if so set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from seedance_dagster.emulator.refusal import invalid
from seedance_dagster.emulator.vendor import Vendor
from seedance_dagster.emulator.view import history_row

DEFAULT_PAGE_SIZE = 10
LARGEST_PAGE_SIZE = 100
_LAST_SECOND = 253_402_300_799


def history_page(vendor: Vendor, query: Mapping[str, str]) -> dict[str, Any]:
    """One page of the history; `start_time` and `end_time` are unix seconds, both included.

    Raises:
        Refusal: for a parameter out of range.
    """
    page = _whole(query, "page", 1, 1, _LAST_SECOND)
    size = _whole(query, "page_size", DEFAULT_PAGE_SIZE, 1, LARGEST_PAGE_SIZE)
    start = _whole(query, "start_time", 0, 0, _LAST_SECOND)
    end = _whole(query, "end_time", _LAST_SECOND, 0, _LAST_SECOND)
    now = vendor.now()
    newest = now - timedelta(seconds=vendor.settings.history_lag_seconds)
    found = [
        record
        for record in reversed(vendor.tasks.values())
        if record.created_at <= newest
        and start <= int(record.created_at.timestamp()) <= end
        and (record.settled or vendor.settings.history_lists_unfinished)
        and query.get("model") in {None, "", "seedance"}
    ]
    rows = found[(page - 1) * size : page * size]
    return {
        "data": [history_row(record, now) for record in rows],
        "page": page,
        "size": size,
        "total": len(found),
    }


def _whole(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        raise invalid(f"{name} must be a whole number") from None
    if not least <= number <= most:
        raise invalid(f"{name} must be from {least} to {most}")
    return number
