"""Answers of the service, the deliberately broken ones included."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from seedance_dagster.emulator.connections import Connections
from seedance_dagster.emulator.refusal import Refusal

ERROR_PAGE = (
    "<!doctype html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"
)


def envelope(data: Any, *, code: int = 200, message: str = "success", status: int = 200) -> JSONResponse:
    """The one shape in which the vendor answers."""
    return JSONResponse({"code": code, "data": data, "message": message}, status_code=status)


def refused(refusal: Refusal, *, in_200: bool) -> JSONResponse:
    """A refusal as an envelope; `in_200` hides it in the body of an HTTP 200."""
    reply = envelope(
        None, code=refusal.status, message=refusal.message, status=200 if in_200 else refusal.status
    )
    if refusal.retry_after_s is not None:
        reply.headers["Retry-After"] = str(refusal.retry_after_s)
    return reply


def html_page(status: int = 200) -> Response:
    """An error page where JSON or a video was expected."""
    return HTMLResponse(ERROR_PAGE, status_code=status)


@dataclass(frozen=True)
class Cut:
    """What is still sent of a reply before the connection closes."""

    media_type: str
    promised_bytes: int
    body: bytes


class DroppedReply(Response):
    """Closes the connection, after a part of the reply if there is a cut."""

    def __init__(self, connections: Connections, cut: Cut | None = None) -> None:
        super().__init__()
        self._connections = connections
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as little as asked, then hang up."""
        if self._cut is not None:
            headers = [
                (b"content-type", self._cut.media_type.encode()),
                (b"content-length", str(self._cut.promised_bytes).encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": self._cut.body, "more_body": True})
        self._connections.drop(scope)
        await _client_left(receive)


class SilentReply(Response):
    """Says nothing for a while, then closes the connection; ends early when the client leaves."""

    def __init__(self, connections: Connections, seconds: float) -> None:
        super().__init__()
        self._connections = connections
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Wait, then hang up."""
        try:
            async with asyncio.timeout(self._seconds):
                await _client_left(receive)
        except TimeoutError:
            self._connections.drop(scope)
            await _client_left(receive)


def carries_key(request: Request, key: str) -> bool:
    """Whether a request has an API key header, or the key anywhere in its headers or URL."""
    values = [*request.headers.values(), str(request.url)]
    return "x-api-key" in request.headers or any(key in value for value in values)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
