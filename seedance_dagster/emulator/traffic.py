"""Counters of incoming calls, and outages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

OUTAGE_KINDS = ("500", "html-502", "429", "hang", "drop")
OUTAGE_SCOPES = ("api", "post", "get", "history", "account", "upload", "files", "all")


class OutageError(ValueError):
    """An outage is not valid; the message says what is allowed."""


@dataclass(frozen=True)
class Outage:
    """A period in which the calls of a scope fail."""

    kind: str
    scope: str
    until: datetime

    def hits(self, call: str, now: datetime) -> bool:
        """Return True for a call that fails now."""
        covered = self.scope in {"all", call} or (self.scope == "api" and call != "files")
        return covered and now < self.until


def read_outage(fields: dict[str, Any], now: datetime) -> Outage:
    """Read an outage from the JSON of a request: `seconds`, `kind` (500), `scope` (api).

    Raises:
        OutageError: A field is not valid; the message names it and what is allowed.
    """
    unknown = set(fields) - {"seconds", "kind", "scope"}
    if unknown:
        raise OutageError(f"{', '.join(sorted(unknown))}: unknown; allowed are seconds, kind, scope")
    seconds, kind, scope = fields.get("seconds"), str(fields.get("kind", "500")), fields.get("scope", "api")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 86_400:  # noqa: PLR2004  a day
        raise OutageError("seconds must be a number from 0 to 86400")
    if kind not in OUTAGE_KINDS:
        raise OutageError(f"kind must be one of {', '.join(OUTAGE_KINDS)}")
    if scope not in OUTAGE_SCOPES:
        raise OutageError(f"scope must be one of {', '.join(OUTAGE_SCOPES)}")
    return Outage(kind, scope, now + timedelta(seconds=seconds))


@dataclass
class Traffic:
    """Counters since the start, and the outage in force."""

    calls: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    peak_calls_per_second: int = 0
    leaks: list[dict[str, str]] = field(default_factory=list)
    outage: Outage | None = None
    _second: int = 0
    _in_second: int = 0

    def count(self, call: str, now: datetime) -> None:
        """Count a call; only calls of the API count for the peak."""
        self.calls[call] += 1
        if call == "files":
            return
        second = int(now.timestamp())
        self._in_second = self._in_second + 1 if second == self._second else 1
        self._second = second
        self.peak_calls_per_second = max(self.peak_calls_per_second, self._in_second)

    def outage_hits(self, call: str, now: datetime) -> str | None:
        """Return the kind of outage that affects this call, if any."""
        return self.outage.kind if self.outage is not None and self.outage.hits(call, now) else None

    def leaked(self, path: str, now: datetime) -> None:
        """Record that the API key was sent to the file host, without recording the key."""
        self.leaks.append({"path": path, "at": now.isoformat()})
