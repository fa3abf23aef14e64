"""A time since which a command counts: a day, a time, or a length of time ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_AGO = re.compile(r"(\d{1,5})([dh])")
_UNITS = {"d": "days", "h": "hours"}
SINCE_HELP = "in UTC: 2026-04-06, 2026-04-06T18:00, or a length of time ago, such as 7d or 24h."


class Age(click.ParamType[timedelta]):
    """A length of time in days, with a minimum."""

    name = "days"

    def __init__(self, *, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the length of time in a text; fail if it is not one."""
        if isinstance(value, timedelta):
            return value
        match = _AGO.fullmatch(value)
        if match is None or match.group(2) != "d" or int(match.group(1)) < self._least:
            self.fail(
                f"{value!r} cannot be used; allowed are days from {self._least}d, such as 90d", param, ctx
            )
        return timedelta(days=int(match.group(1)))


class Since(click.ParamType[datetime]):
    """A time in UTC that has passed; with `whole_days` the start of its day."""

    name = "time"

    def __init__(self, *, whole_days: bool = False) -> None:
        self._whole_days = whole_days

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time in a text; fail if it is not one."""
        if isinstance(value, datetime):
            return value
        ago, now = _AGO.fullmatch(value), datetime.now(UTC)
        try:
            time = (
                now - timedelta(**{_UNITS[ago.group(2)]: int(ago.group(1))})
                if ago
                else datetime.fromisoformat(value)
            )
            time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time; write 2026-04-06, 2026-04-06T18:00, 7d or 24h", param, ctx)
        if time > now:
            # Nothing was ordered since then, which would look as if all were well.
            self.fail(f"{value!r} is in the future: it is {now:%Y-%m-%d %H:%M} in UTC", param, ctx)
        return time.replace(hour=0, minute=0, second=0, microsecond=0) if self._whole_days else time
