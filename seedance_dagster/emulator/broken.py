"""Answers of an API in trouble: refusals, pages of gateways, broken connections, each by its fault's name.

Modelled on replies that clients recorded; see "Refusals" in `docs/vendor.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.responses import (
    DroppedResponse,
    Refusal,
    SilentResponse,
    envelope,
    html_page,
    refused,
)


@dataclass(frozen=True)
class _Envelope:
    """An HTTP status, and an envelope's code and message."""

    status: int
    code: int
    message: str


_NO_SLOT = "active task count {limit} has reached the plan limit"
_CREDITS = "insufficient credits"
_ERROR = "internal server error"
_ENVELOPES = {
    "500": _Envelope(500, 500, _ERROR),
    "408": _Envelope(408, 408, "request timeout"),
    "error-in-200": _Envelope(200, 500, _ERROR),
    "rate-limit-in-200": _Envelope(200, 10001, "rate limit exceeded"),
    "rate-limit-10001": _Envelope(429, 10001, "rate limit exceeded"),
    "credits-400": _Envelope(400, 10002, "failed to create task"),
    "credits-in-200": _Envelope(200, 10002, _CREDITS),
    "credits-in-500": _Envelope(500, 10002, _CREDITS),
    "no-slot-400": _Envelope(400, 10000, _NO_SLOT),
    "no-slot-429": _Envelope(429, 429, _NO_SLOT),
    "invalid-10000": _Envelope(400, 10000, "invalid request"),
    "invalid-10003": _Envelope(400, 10003, "task input too large"),
    "invalid-500": _Envelope(400, 500, "invalid task_type"),
    "invalid-422": _Envelope(422, 422, "unsupported image format"),
    "401": _Envelope(401, 401, "unauthorized"),
    "403": _Envelope(403, 403, "forbidden"),
    "404": _Envelope(404, 404, "task not found"),
}
_PAGES = {"html-502": 502, "page-401": 401, "page-403": 403, "page-502": 502, "page-503": 503}


def broken(kind: str, emulator: Emulator) -> Response:
    """Return the answer of an outage or a fault.

    Args:
        kind: An outage's kind, or a fault's name, with or without the event that it affects.
        emulator: The running emulator.
    """
    kind = kind.removeprefix("get-").removeprefix("post-").removesuffix("-before").removesuffix("-after")
    if kind in _PAGES:
        return html_page(_PAGES[kind])
    if kind in ("drop", "reset", "lost-reply"):
        return DroppedResponse(emulator.connections)
    if kind == "hang":
        return SilentResponse(emulator.connections, emulator.settings.hang_seconds)
    if kind == "429":
        return refused(Refusal(429, "too many requests", kind="429", retry_after_s=1), in_200=False)
    answer = _ENVELOPES[kind]
    message = answer.message.format(limit=emulator.settings.plan_limit)
    return envelope(None, code=answer.code, message=message, status=answer.status)
