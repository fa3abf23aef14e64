"""Responses of the service, refusals, and responses that break the connection on purpose."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

ERROR_PAGE = (
    "<!doctype html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"
)
Ends = tuple[tuple[str, int], tuple[str, int]]


class Refusal(Exception):  # noqa: N818  an answer, not an error of the emulator
    """A call that is answered with an error; nothing was created or billed.

    Args:
        status: HTTP status.
        message: The envelope's message.
        kind: The name under which the books count it.
        code: The envelope's code; None for the HTTP status.
        retry_after_s: Seconds for the `Retry-After` header; None to omit it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str,
        code: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = status if code is None else code
        self.message = message
        self.kind = kind
        self.retry_after_s = retry_after_s


def invalid(message: str) -> Refusal:
    """Return the refusal of a request that breaks a rule of the vendor's page."""
    return Refusal(400, f"invalid request: {message}", kind="invalid")


def envelope(data: Any, *, code: int = 200, message: str = "success", status: int = 200) -> JSONResponse:
    """Return a response in the vendor's envelope."""
    return JSONResponse({"code": code, "data": data, "message": message}, status_code=status)


def refused(refusal: Refusal, *, in_200: bool) -> JSONResponse:
    """Return a refusal in an envelope; `in_200` hides it in the body of an HTTP 200."""
    reply = envelope(
        None, code=refusal.code, message=refusal.message, status=200 if in_200 else refusal.status
    )
    if refusal.retry_after_s is not None:
        reply.headers["Retry-After"] = str(refusal.retry_after_s)
    return reply


def html_page(status: int = 200) -> Response:
    """Return an error page in place of JSON or a video."""
    return HTMLResponse(ERROR_PAGE, status_code=status)


class Connections:
    """The open connections by both their ends, noted by the server, so that a call can close its own."""

    def __init__(self) -> None:
        self._open: dict[Ends, asyncio.Transport] = {}

    def opened(self, transport: asyncio.Transport) -> Ends:
        """Note a new connection and return its ends."""
        ends = (_end(transport.get_extra_info("peername")), _end(transport.get_extra_info("sockname")))
        self._open[ends] = transport
        return ends

    def closed(self, ends: Ends) -> None:
        """Forget a connection."""
        self._open.pop(ends, None)

    def drop(self, scope: Scope) -> None:
        """Close the connection of a call after what was written so far.

        Raises:
            ConnectionResetError: The server does not note its connections.
        """
        # Both ends: a client may use the same local port for the API and for the file host.
        transport = self._open.get((_end(scope.get("client")), _end(scope.get("server"))))
        if transport is None:
            raise ConnectionResetError("the emulator closed the connection on purpose")
        transport.close()


@dataclass(frozen=True)
class PartialBody:
    """The part of a response that is sent before the connection closes."""

    media_type: str
    promised_bytes: int
    body: bytes


class DroppedResponse(Response):
    """A response that closes the connection, after a part of the body if there is one."""

    def __init__(self, connections: Connections, part: PartialBody | None = None) -> None:
        super().__init__()
        self._connections = connections
        self._part = part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the part, then close the connection."""
        if self._part is not None:
            headers = [
                (b"content-type", self._part.media_type.encode()),
                (b"content-length", str(self._part.promised_bytes).encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": self._part.body, "more_body": True})
        self._connections.drop(scope)
        await _client_left(receive)


class SilentResponse(Response):
    """A response that sends nothing for a while, then closes the connection."""

    def __init__(self, connections: Connections, seconds: float) -> None:
        super().__init__()
        self._connections = connections
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        """Wait until the time is over or the client leaves."""
        try:
            async with asyncio.timeout(self._seconds):
                await _client_left(receive)
        except TimeoutError:
            self._connections.drop(scope)
            await _client_left(receive)


def carries_key(request: Request, key: str) -> bool:
    """Return True for a request with an API key header, or with the key anywhere in headers or URL."""
    values = [*request.headers.values(), str(request.url)]
    return "x-api-key" in request.headers or any(key in value for value in values)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _end(address: Any) -> tuple[str, int]:
    return (str(address[0]), int(address[1])) if address else ("", 0)
