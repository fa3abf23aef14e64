"""The vendor's API: the calls of a client with a key."""

from __future__ import annotations

import asyncio
import functools
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seedance_dagster.emulator.billing import account_info
from seedance_dagster.emulator.broken import broken
from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.fault_table import Stage
from seedance_dagster.emulator.faults import UnknownFaultError, markers_of
from seedance_dagster.emulator.history import history_page
from seedance_dagster.emulator.record import TaskRecord
from seedance_dagster.emulator.responses import (
    DroppedResponse,
    PartialBody,
    Refusal,
    envelope,
    html_page,
    invalid,
    refused,
)
from seedance_dagster.emulator.validation import prompt_of

Handler = Callable[[Request, Emulator], Awaitable[Response]]


def vendor_call(name: str) -> Callable[[Handler], Callable[[Request], Awaitable[Response]]]:
    """Decorate a handler as a call of the API: count it, apply outages, check the key, envelop refusals."""

    def decorate(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        @functools.wraps(handler)
        async def call(request: Request) -> Response:
            emulator: Emulator = request.app.state.emulator
            now = emulator.vendor.now()
            emulator.traffic.count(name, now)
            outage = emulator.traffic.outage_hits(name, now)
            if outage is not None:
                return broken(outage, emulator)
            try:
                _check_key(request, emulator)
                return await handler(request, emulator)
            except UnknownFaultError as error:
                return refused(invalid(str(error)), in_200=False)
            except Refusal as refusal:
                emulator.traffic.refusals[refusal.kind] += 1
                return refused(refusal, in_200=emulator.settings.errors_in_200)

        return call

    return decorate


@vendor_call("post")
async def create_task(request: Request, emulator: Emulator) -> Response:
    """Answer POST /api/v1/task."""
    body = read_json(await request.body())
    prompt = prompt_of(body)
    markers = markers_of(prompt)
    earlier = emulator.vendor.count_post(prompt)
    before = emulator.faults.first(Stage.BEFORE, markers, earlier=earlier)
    if before is not None:
        return broken(before, emulator)
    record = emulator.vendor.create_task(body)
    data = emulator.show(record, request)
    after = emulator.faults.first(Stage.AFTER, markers, earlier=earlier)
    return envelope(data) if after is None else await _after_response(after, data, emulator)


@vendor_call("get")
async def get_task(request: Request, emulator: Emulator) -> Response:
    """Answer GET /api/v1/task/{task_id}."""
    record = emulator.vendor.find(request.path_params["task_id"])
    fault = emulator.faults.first(Stage.GET, record.markers, earlier=record.gets)
    if fault is not None:
        record.gets += 1
        return broken(fault, emulator)
    return envelope(emulator.show(record, request, polled=True))


@vendor_call("account")
async def get_account(request: Request, emulator: Emulator) -> Response:  # noqa: ARG001  a handler's signature
    """Answer GET /account/info."""
    emulator.vendor.now()
    return envelope(account_info(emulator.vendor.account, emulator.settings))


@vendor_call("history")
async def get_history(request: Request, emulator: Emulator) -> Response:
    """Answer GET /api/open/tasks/histories."""
    if emulator.faults.first(Stage.HISTORY, {}, earlier=0) is not None:
        return broken("500", emulator)

    def link_of(record: TaskRecord) -> str | None:
        return emulator.newest_link(record, request)

    return envelope(history_page(emulator.vendor, request.query_params, link_of))


ROUTES = [
    Route("/api/v1/task", create_task, methods=["POST"]),
    Route("/api/v1/task/{task_id}", get_task, methods=["GET"]),
    Route("/account/info", get_account, methods=["GET"]),
    Route("/api/open/tasks/histories", get_history, methods=["GET"]),
]


def read_json(raw: bytes) -> Any:
    """Parse the JSON of a body.

    Raises:
        Refusal: The body is not JSON, or has values that cannot be written again (NaN, half a character).
    """

    def not_json(name: str) -> NoReturn:
        raise ValueError(name)

    try:
        body = json.loads(raw, parse_constant=not_json)
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise invalid("the body is not valid JSON") from None
    return body


def _check_key(request: Request, emulator: Emulator) -> None:
    key = request.headers.get("x-api-key", "").encode()
    if not hmac.compare_digest(key, emulator.settings.api_key.get_secret_value().encode()):
        raise Refusal(emulator.settings.bad_key_status, "invalid API key", kind="bad-key")


async def _after_response(fault: str, data: Any, emulator: Emulator) -> Response:
    match fault:
        case "cut-reply":
            part = PartialBody("application/json", 5000, b'{"code": 200, "da')
            return DroppedResponse(emulator.connections, part)
        case "slow-post":
            await asyncio.sleep(emulator.settings.slow_post_seconds)
            return envelope(data)
        case "500-with-task":
            return envelope(data, code=500, message="internal server error", status=500)
        case "400-with-task":
            return envelope(data, code=10000, message="invalid request", status=400)
        case "garbage-reply":
            return html_page()
        case _:
            return broken(fault, emulator)
