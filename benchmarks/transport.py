"""Polls for each CPU second of the client's own process: our transport, plain httpx and bare aiohttp.

All three run in turns in this process, against one emulator in another process. The first two use the
product's client with different transports. Bare aiohttp, which only parses the JSON, shows how much of the
cost is the transport's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import httpx
from _support import Servers, report, servers

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.wire import GenerationRequest, Mode

WORKERS = (8, 100)  # the concurrency of a run, and one at which plain httpx breaks down
POLLS = 2000
ROUNDS = 3

Poll = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Measured:
    """One round: polls per CPU second of this process, and per second of wall time."""

    per_cpu_s: float
    per_s: float


async def measure(poll: Poll, workers: int) -> Measured:
    """Poll on a fixed number of workers."""
    turns = itertools.count()

    async def work() -> None:
        while next(turns) < POLLS:
            await poll()

    await asyncio.gather(*(poll() for _ in range(workers)))  # opens the connections
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    return Measured(POLLS / (time.process_time() - cpu), POLLS / (time.perf_counter() - wall))


async def ours(world: Servers, task_id: str, workers: int) -> Measured:
    """Measure the product's client as it is."""
    async with world.open_client() as client:
        return await measure(lambda: client.get_task(task_id), workers)


async def plain_httpx(world: Servers, task_id: str, workers: int) -> Measured:
    """Measure the product's client on httpx's own transport."""
    transport = httpx.AsyncHTTPTransport(trust_env=False)
    async with world.open_client(transport=transport) as client:
        return await measure(lambda: client.get_task(task_id), workers)


async def bare_aiohttp(world: Servers, task_id: str, workers: int) -> Measured:
    """Measure a GET and its JSON without the product's client."""
    url, headers = f"{world.emulator.url}/api/v1/task/{task_id}", {"X-API-Key": world.emulator.api_key}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def poll() -> object:
            async with session.get(url) as reply:
                return json.loads(await reply.read())

        return await measure(poll, workers)


async def one_task(client: SeedanceClient) -> str:
    """Create a task that renders during the whole measurement; return its id."""
    async with client:
        request = GenerationRequest(task_type="seedance-2-fast", prompt="A poll", mode=Mode.TEXT_TO_VIDEO)
        return (await client.create_task(request)).task_id


def main() -> None:
    """Measure in turns and print medians."""
    ways = {"seedance_dagster": ours, "the same on plain httpx": plain_httpx, "bare aiohttp": bare_aiohttp}
    rows = []
    with servers("--render-seconds", "3600") as world:
        task_id = asyncio.run(one_task(world.open_client()))
        for workers in WORKERS:
            measured: dict[str, list[Measured]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, way in ways.items():
                    measured[name].append(asyncio.run(way(world, task_id, workers)))
            for name, rounds in measured.items():
                cpu, wall = (
                    statistics.median(getattr(measurement, field) for measurement in rounds)
                    for field in ("per_cpu_s", "per_s")
                )
                aim = "3,000" if name == "seedance_dagster" else ""
                rows.append((f"polls per CPU second, {workers} at once: {name}", f"{cpu:,.0f}", aim))
                rows.append((f"polls per second, {workers} at once: {name}", f"{wall:,.0f}", ""))
    report(rows, f"medians of {ROUNDS} rounds of {POLLS} polls; the emulator has a core of its own at best")


if __name__ == "__main__":
    main()
