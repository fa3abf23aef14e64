"""Reading a reply: HTTP status, the envelope's own code and its words together say what happened."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from seedance_dagster.api.errors import (
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    NotFoundError,
    PlanLimitError,
    RateLimitError,
    SeedanceError,
)

_OK = 200
_MAX_RETRY_AFTER_S = 3600.0
_ACTIVE_TASKS = re.compile(r"active task count (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """One HTTP reply.

    Attributes:
        status: The HTTP status.
        code: The envelope's code, or the HTTP status when the body is no envelope.
        message: What the vendor says, for people.
        data: The envelope's data.
        readable: True when the body was an envelope.
        retry_after_s: Seconds the vendor asks to wait.
    """

    status: int
    code: int
    message: str
    data: Any
    readable: bool
    retry_after_s: float | None

    @property
    def ok(self) -> bool:
        """True for a success by both status and code."""
        return self.readable and self.status == _OK and self.code == _OK


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """Make a reply of what came back, whatever it is."""
    retry_after = _retry_after(headers.get("retry-after"))
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        envelope = None
    if not isinstance(envelope, dict):
        return Reply(status, status, f"HTTP {status} without an envelope", None, False, retry_after)
    code = envelope.get("code", status)
    data = envelope.get("data")
    error = data.get("error") if isinstance(data, dict) else None
    words = [envelope.get("message"), error.get("message") if isinstance(error, dict) else None]
    message = "; ".join(dict.fromkeys(str(word).strip() for word in words if word))[:1000]
    return Reply(
        status,
        code if isinstance(code, int) and not isinstance(code, bool) else status,
        message or f"HTTP {status}",
        data,
        True,
        retry_after,
    )


def refusal(reply: Reply) -> SeedanceError | None:  # noqa: PLR0911  a table of cases reads best flat
    """The refusal that a reply states; None when it states none (a success, or a server error).

    Credits and the plan limit are known by their words only: their HTTP status is not documented.
    """
    words = reply.message.lower()
    said = f"the vendor refused: {reply.message} (HTTP {reply.status}, code {reply.code})"
    codes = {reply.status, reply.code}
    if reply.ok:
        return None
    if "insufficient credit" in words or "insufficient balance" in words:
        return InsufficientCreditsError(said)
    if "plan limit" in words or "active task count" in words:
        active = _ACTIVE_TASKS.search(reply.message)
        return PlanLimitError(said, active=int(active.group(1)) if active else None)
    if max(codes) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    if codes & {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return AuthenticationError(f"{said}; check GOAPI_API_KEY")
    if HTTPStatus.PAYMENT_REQUIRED in codes:
        return InsufficientCreditsError(said)
    if HTTPStatus.TOO_MANY_REQUESTS in codes:
        return RateLimitError(said, retry_after_s=reply.retry_after_s)
    if HTTPStatus.NOT_FOUND in codes:
        return NotFoundError(said)
    if max(codes) >= HTTPStatus.BAD_REQUEST:
        return InvalidRequestError(said)
    return None


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
            seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S)
