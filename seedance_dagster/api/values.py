"""Values of the vendor's JSON and headers, read in any form: numbers, points, times, texts and mappings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_PLAUSIBLE_YEARS = range(2000, 2099)  # others are placeholders for "not yet" or "never"
_UNIX_TIME = re.compile(r"\s*[0-9]{9,19}(?:\.[0-9]*)?\s*")
_ZONE = re.compile(
    r"\s+(?:([+-][0-9]{2}:?[0-9]{2})(?:\s+[A-Z]{1,5})?|UTC|GMT|Z)$"
)  # as Go and others print it
_MOST_SECONDS = 10**11  # a larger unix time is in milliseconds, microseconds or nanoseconds
_GROUPED = re.compile("[0-9]{1,3}(?:,[0-9]{3})+")
_NO_NAMES = ("null", "none", "nil", "undefined", "false", "n/a")
_LONGEST_ID = 500  # a database could not index a much longer one
_MAX_RETRY_AFTER_S = 3600.0
_MOST_POINTS = 10**15  # 100 million USD; sums of larger amounts might not fit into 64 bits


def parse_time(value: object) -> datetime | None:
    """Parse a time of the vendor (RFC 3339 or unix time) to UTC; return None for "not yet" and garbage."""
    if isinstance(value, str) and _UNIX_TIME.fullmatch(value):
        value = float(value)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            units = (value / unit for unit in (1, 10**3, 10**6, 10**9))
            time = datetime.fromtimestamp(next(seconds for seconds in units if seconds < _MOST_SECONDS), UTC)
        elif isinstance(value, str):
            text_of_time = _ZONE.sub(_bare_zone, value.strip().upper())
            # Python's resolution is microseconds.
            time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text_of_time))
            time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError, StopIteration):
        return None
    return time if time.year in _PLAUSIBLE_YEARS else None


def _bare_zone(zone: re.Match[str]) -> str:
    return zone[1] or "Z"


def retry_after_s(value: str | None, *, date: str | None) -> float | None:
    """Return the seconds of a `Retry-After`; a time in it counts by the reply's `Date`, not by our clock."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value.strip()):
        seconds = float(value)
    elif (at := _http_date(value)) is not None:
        seconds = (at - (_http_date(date) or datetime.now(UTC))).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S)


def _http_date(value: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return at.replace(tzinfo=at.tzinfo or UTC)


def whole_number(value: object) -> int | None:
    """Return a whole number of at most 64 bits from any JSON form; None when the value is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    if isinstance(value, str):
        value = re.sub(r"\.0+$", "", value.strip())
        value = value.replace(",", "") if _GROUPED.fullmatch(value) else value
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 2**63 else None


def points(value: object) -> int | None:
    """Return an amount of points that a ledger can hold; None for any other value."""
    number = whole_number(value)
    return number if number is not None and 0 <= number <= _MOST_POINTS else None


def identifier(value: object) -> str:
    """Return an id, a text or whole number; empty for what stands for none, such as an empty UUID."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    name = str(value).strip()
    empty = not name.strip("0-") or name.casefold() in _NO_NAMES or len(name) > _LONGEST_ID
    return "" if empty else name


def as_mapping(value: object) -> dict[str, Any]:
    """Return a mapping with texts as keys; empty for any other value."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """Return strings unchanged, None as an empty string, and anything else as Python prints it."""
    return value if isinstance(value, str) else "" if value is None else str(value)
