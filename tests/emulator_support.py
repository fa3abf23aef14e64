"""An emulated vendor in this process, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx

from seedance_dagster.emulator.app import create_app
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

KEY = {"X-API-Key": "emulator-key"}
START = datetime(2026, 4, 5, 13, 33, 26, 103466, tzinfo=UTC)


class Service:
    """An emulator without a network, and its clock."""

    def __init__(self, **settings):
        self.time = START
        plain = {"jitter": 0, "queue_seconds": 1, "render_seconds": 10}
        self.app = create_app(EmulatorSettings(**{**plain, **settings}), clock=lambda: self.time)
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=KEY)

    def wait(self, seconds):
        self.time += timedelta(seconds=seconds)

    async def post(self, prompt="A cat", *, task_type="seedance-2-fast", **fields):
        request = {"prompt": prompt, "mode": "text_to_video", "duration": 5, "aspect_ratio": "16:9", **fields}
        body = {"model": "seedance", "task_type": task_type, "input": request}
        return await self.client.post("/api/v1/task", json=body)

    async def make(self, prompt="A cat", **fields):
        return (await self.post(prompt, **fields)).json()["data"]["task_id"]

    async def get(self, task_id):
        return (await self.client.get(f"/api/v1/task/{task_id}")).json()["data"]

    async def set(self, **settings):
        assert (await self.client.post("/emulator/settings", json=settings)).status_code == 200


@asynccontextmanager
async def running_service(**settings) -> AsyncIterator[Service]:
    """Run a service until the end of the block."""
    made = Service(**settings)
    yield made
    await made.client.aclose()
    made.app.state.emulator.close()
