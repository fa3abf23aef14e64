"""Replies of the vendor: HTTP status, the envelope's code and its message together say what happened."""

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
from seedance_dagster.api.wire import whole_number
from seedance_dagster.net.redaction import redact

_OK = 200
_MAX_RETRY_AFTER_S = 3600.0
_UNREADABLE = -1
_ACTIVE_TASKS = re.compile(r"active task count ([0-9]{1,6})\b", re.IGNORECASE)
_PLAIN_REFUSAL = re.compile(
    r"\W*((error|failed to create task)\W+)?"
    r"(insufficient (credits?|balance)|active task count \d+ has reached the plan limit|plan limit)"
    r"[^\"'`:]{0,40}"
)
_END_OF_HTTP = 600  # the vendor's own codes are higher
_TIMEOUTS = {HTTPStatus.REQUEST_TIMEOUT, 499}  # in status or envelope: a task may have been created


@dataclass(frozen=True)
class Reply:
    """An HTTP reply.

    Attributes:
        status: The HTTP status.
        code: The envelope's code; -1 when it is not a number, the HTTP status when it is missing.
        message: The vendor's message, for people.
        data: The envelope's data.
        readable: True when the body was an envelope.
        retry_after_s: Seconds that the vendor asks to wait.
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


def read_reply(status: int, headers: Mapping[str, str], body: bytes, *, key: str = "") -> Reply:
    """Parse a reply, whatever it contains.

    Args:
        status: The HTTP status.
        headers: By name in lower case.
        body: The raw bytes.
        key: The API key; removed from the message, since the vendor may quote a key that it refuses.
    """
    retry_after = _retry_after(headers.get("retry-after"))
    try:
        envelope = _storable(json.loads(body.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError):
        envelope = None
    if not isinstance(envelope, dict):
        return Reply(status, status, f"HTTP {status} without an envelope", None, False, retry_after)
    code = whole_number(envelope.get("code", status))
    data = envelope.get("data")
    error = data.get("error") if isinstance(data, dict) else None
    texts = [envelope.get("message"), error.get("message") if isinstance(error, dict) else None]
    message = "; ".join(dict.fromkeys(str(text).strip() for text in texts if text))
    message = (
        message.replace(key, "***") if key else message
    )  # before it is cut, which could leave half a key
    message = redact(message)[:1000]  # it may contain a reference's signed link
    return Reply(
        status,
        _UNREADABLE if code is None else code,
        message or f"HTTP {status}",
        data,
        True,
        retry_after,
    )


def refusal(reply: Reply) -> SeedanceError | None:  # noqa: PLR0911  a table of cases reads best flat
    """Return the error of a reply that refuses a request; None for a success or a server error.

    Missing credits and the plan limit are recognized by their text, since their HTTP status is not
    documented. Where no code says that no task was created, the text counts only if it is the whole
    message: a server error may quote anything, even the prompt.
    """
    text = reply.message.lower()
    message = f"the vendor refused: {reply.message} (HTTP {reply.status}, code {reply.code})"
    codes = {reply.status, reply.code}
    if reply.ok:
        return None
    if not _proves_no_task(codes) and not _PLAIN_REFUSAL.fullmatch(text):
        return None
    if "insufficient credit" in text or "insufficient balance" in text:
        return InsufficientCreditsError(message)
    if "plan limit" in text or "active task count" in text:
        active = _ACTIVE_TASKS.search(reply.message)
        return PlanLimitError(message, active=int(active.group(1)) if active else None)
    if codes & {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return AuthenticationError(f"{message}; check GOAPI_API_KEY")
    if HTTPStatus.PAYMENT_REQUIRED in codes:
        return InsufficientCreditsError(message)
    if HTTPStatus.TOO_MANY_REQUESTS in codes:
        return RateLimitError(message, retry_after_s=reply.retry_after_s)
    if HTTPStatus.NOT_FOUND in codes:
        return NotFoundError(message)
    if HTTPStatus.BAD_REQUEST <= max(codes) < HTTPStatus.INTERNAL_SERVER_ERROR:
        return InvalidRequestError(message)
    return None


def _proves_no_task(codes: set[int]) -> bool:
    """Return True when status or envelope refuse the request and neither reports a server error."""
    broken = any(HTTPStatus.INTERNAL_SERVER_ERROR <= code < _END_OF_HTTP for code in codes)
    refused = any(HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR for code in codes)
    return refused and not broken and not codes & _TIMEOUTS


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value.strip()):
        seconds = float(value)
    else:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S)


def _storable(value: Any) -> Any:
    """Replace what JSON can express but a database or file cannot store: half characters and NUL."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "?")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    return value
