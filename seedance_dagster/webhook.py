"""The receiver of the vendor's webhooks, as an ASGI application.

A delivery is a hint: it lets the next poll of its task happen now. Only that poll says what became of the
task.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedance_dagster.api.wire import Task
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.threads import in_thread

MAX_BODY_BYTES = 1_000_000
"""The largest delivery that is accepted; the vendor's have a few thousand bytes."""

_READ_S = 10.0
_MOST_ID = 200
_CLOSE = {"Connection": "close"}  # the rest of the request is not read


def create_app(
    ledger: Ledger, secret: SecretStr, *, path_prefix: str = "", log: Callable[[str], object]
) -> ASGIApp:
    """Build the application: `POST /` takes deliveries, `GET /health` says whether the ledger answers.

    Args:
        ledger: The ledger of the tasks.
        secret: The secret that each delivery must carry.
        path_prefix: The prefix of each path, where a proxy does not strip it.
        log: Called with a line for each request; it shows neither queries nor headers.
    """

    async def receive(request: Request) -> Response:
        secret_sent = request.headers.get("x-webhook-secret", "").encode("latin-1")
        if not hmac.compare_digest(secret_sent, secret.get_secret_value().encode()):
            raise HTTPException(HTTPStatus.UNAUTHORIZED, "wrong secret", _CLOSE)
        task_id = _task_id(await _read(request))
        # An unknown task gets the same answer: it may be another program's.
        await _ask(lambda: ledger.polls.first([task_id]))
        return PlainTextResponse("accepted", HTTPStatus.ACCEPTED)

    async def health(_: Request) -> Response:
        await _ask(ledger.pauses.active)
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/", receive, methods=["POST"]), Route("/health", health)])
    return _logged(_without_prefix(app, path_prefix), log)


async def _ask(question: Callable[[], object]) -> None:
    """Ask the ledger; refuse the delivery if it does not answer: the vendor may deliver it again."""
    try:
        await in_thread(question)
    except LedgerError:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the ledger does not answer") from None


async def _read(request: Request) -> bytes:
    """Return the body; raise `HTTPException` for one that is too large, too slow or cut off."""
    if int(request.headers.get("content-length", 0)) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, "the body came too slowly", _CLOSE) from None
    except ClientDisconnect:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body was cut off", _CLOSE) from None
    return bytes(body)


def _too_large() -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY_BYTES} bytes", _CLOSE)


def _task_id(body: bytes) -> str:
    """Return the task that a delivery is about, in any shape in which the API shows one; else raise."""
    try:
        task = Task.parse(json.loads(body))
    except (ValueError, RecursionError):
        task = None
    task_id = "" if task is None else task.task_id
    if not 0 < len(task_id) <= _MOST_ID or not task_id.isprintable():
        raise HTTPException(HTTPStatus.BAD_REQUEST, "not a delivery: allowed is {timestamp, data: a task}")
    return task_id


def _without_prefix(app: ASGIApp, path_prefix: str) -> ASGIApp:
    """Return an application whose paths may have a prefix: that of the option, or of the proxy's header."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            forwarded = dict(scope["headers"]).get(b"x-forwarded-prefix", b"").decode("latin-1")
            for prefix in filter(None, (path_prefix.strip("/"), forwarded.strip("/"))):
                if f"{scope['path']}/".startswith(f"/{prefix}/"):
                    path = scope["path"].removeprefix(f"/{prefix}") or "/"
                    scope = {**scope, "path": path}
                    break
        await app(scope, receive, send)

    return call


def _logged(app: ASGIApp, log: Callable[[str], object]) -> ASGIApp:
    """Return an application that logs each request, without the parts that may hold a secret."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                log(f"{scope['method']} {quote(scope['path'][:_MOST_ID])} {message['status']}")
            await send(message)

        await app(scope, receive, note if scope["type"] == "http" else send)

    return call
