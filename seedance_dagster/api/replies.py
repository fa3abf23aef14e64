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
_NO_HTTP = 600  # the vendor's own codes begin above
_TIMEOUTS = {HTTPStatus.REQUEST_TIMEOUT, 499}  # in status or envelope: whether a task was made is not known


@dataclass(frozen=True)
class Reply:
    """One HTTP reply.

    Attributes:
        status: The HTTP status.
        code: The envelope's code, -1 when it is no number; the HTTP status when there is none.
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


def read_reply(status: int, headers: Mapping[str, str], body: bytes, *, key: str = "") -> Reply:
    """Make a reply of what came back, whatever it is.

    Args:
        status: The HTTP status.
        headers: Its headers, by name in lower case.
        body: Its bytes.
        key: The API key, which a vendor may quote in refusing it: no message holds it.
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
    words = [envelope.get("message"), error.get("message") if isinstance(error, dict) else None]
    said = "; ".join(dict.fromkeys(str(word).strip() for word in words if word))
    said = said.replace(key, "***") if key else said  # before it is cut: half a key is one, too
    message = redact(said)[:1000]  # it may hold a reference's signed link
    return Reply(
        status,
        _UNREADABLE if code is None else code,
        message or f"HTTP {status}",
        data,
        True,
        retry_after,
    )


def refusal(reply: Reply) -> SeedanceError | None:  # noqa: PLR0911  a table of cases reads best flat
    """The refusal that a reply states; None when it states none (a success, or a server error).

    Credits and the plan limit are known by their words only: their HTTP status is not documented. Where no
    code says by itself that nothing was made, the words count only if they are all that is said: a server
    error may quote anything, the prompt too.
    """
    words = reply.message.lower()
    said = f"the vendor refused: {reply.message} (HTTP {reply.status}, code {reply.code})"
    codes = {reply.status, reply.code}
    if reply.ok:
        return None
    if not _says_no_task(codes) and not _PLAIN_REFUSAL.fullmatch(words):
        return None
    if "insufficient credit" in words or "insufficient balance" in words:
        return InsufficientCreditsError(said)
    if "plan limit" in words or "active task count" in words:
        active = _ACTIVE_TASKS.search(reply.message)
        return PlanLimitError(said, active=int(active.group(1)) if active else None)
    if codes & {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return AuthenticationError(f"{said}; check GOAPI_API_KEY")
    if HTTPStatus.PAYMENT_REQUIRED in codes:
        return InsufficientCreditsError(said)
    if HTTPStatus.TOO_MANY_REQUESTS in codes:
        return RateLimitError(said, retry_after_s=reply.retry_after_s)
    if HTTPStatus.NOT_FOUND in codes:
        return NotFoundError(said)
    if HTTPStatus.BAD_REQUEST <= max(codes) < HTTPStatus.INTERNAL_SERVER_ERROR:
        return InvalidRequestError(said)
    return None


def _says_no_task(codes: set[int]) -> bool:
    """True when status or envelope call the request refused, and neither a server error or a timeout."""
    broken = any(HTTPStatus.INTERNAL_SERVER_ERROR <= code < _NO_HTTP for code in codes)
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
    """The same without what JSON can write and no database or file can hold: half characters and NUL."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "?")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    return value
