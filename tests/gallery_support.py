"""A gallery in this process, and a client of it that keeps cookies as a browser does."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import boto3
import httpx
from starlette.types import ASGIApp

from seedance_dagster.storage.s3 import VideoStore

SECRET = "s3-secret-key"
OWN = {"X-Seedance-Gallery": "1"}


class Client:
    """Sends requests to an ASGI application, each on an event loop of its own."""

    def __init__(self, app: ASGIApp, host: str = "127.0.0.1") -> None:
        self._app, self._url, self._cookies = app, f"http://{host}", httpx.Cookies()

    def get(self, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._send("GET", path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._send("POST", path, **options))

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(
            transport=transport, base_url=self._url, cookies=self._cookies
        ) as client:
            answer = await client.request(method, path, **options)
            self._cookies = client.cookies
        return answer


@cache  # making a client of boto3 takes longer than most tests
def unreached_store() -> VideoStore:
    """Return a store that signs links and is never reached."""
    client = boto3.client(
        "s3",
        endpoint_url="http://s3.test:9000",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key=SECRET,
    )
    return VideoStore(client, "videos", "seedance")
