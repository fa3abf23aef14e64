"""A vendor with canned replies, for tests of the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import SecretStr

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.wire import GenerationRequest, Mode

KEY = "key-3f9a1c77"
REQUEST = GenerationRequest(
    task_type="seedance-2-fast", prompt="A cat", mode=Mode.TEXT_TO_VIDEO, duration=5, aspect_ratio="16:9"
)


def task_data(**fields: Any) -> dict[str, Any]:
    """Return a task as the vendor's page shows it."""
    return {
        "task_id": "t-1",
        "model": "seedance",
        "task_type": "seedance-2-fast",
        "status": "pending",
        "config": {"service_mode": "", "webhook_config": {"endpoint": "", "secret": ""}},
        "input": {"prompt": "A cat", "mode": "text_to_video", "duration": 5, "aspect_ratio": "16:9"},
        "output": None,
        "meta": {
            "created_at": "2026-04-05T13:33:26.10346684Z",
            "started_at": "0001-01-01T00:00:00Z",
            "ended_at": "0001-01-01T00:00:00Z",
            "usage": {"type": "point", "frozen": 4_000_000, "consume": 0},
            "is_using_private_pool": False,
        },
        "detail": None,
        "logs": [],
        "error": {"code": 0, "raw_message": "", "message": "", "detail": None},
    } | fields


def envelope(data: Any = None, *, status: int = 200, code: Any = None, message: str = "", **headers: str):
    """Return a reply in the vendor's envelope, by default with the HTTP status as its code."""
    body = {"code": status if code is None else code, "data": data, "message": message}
    return httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Vendor:
    """A vendor that answers each request with the next canned reply, and repeats the last one."""

    def __init__(self, *replies: httpx.Response | Exception | Callable[[], Any]) -> None:
        self._replies = list(replies)
        self.requests: list[httpx.Request] = []

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self._replies[0] if len(self._replies) == 1 else self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        if callable(reply):
            return await reply()
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

    def client(self, **options: Any) -> SeedanceClient:
        """Return a client of this vendor without a rate limit."""
        return SeedanceClient(
            **{
                "api_key": SecretStr(KEY),
                "requests_per_second": 1e9,
                "transport": httpx.MockTransport(self._answer),
            }
            | options
        )


async def hang() -> httpx.Response:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError
