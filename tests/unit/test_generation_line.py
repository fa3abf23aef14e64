"""A line of workers says truly whether it is idle: the end of a run hangs on it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from seedance_dagster.generation import line as module
from seedance_dagster.generation.line import Line


class Station:
    """Hands out what it is given, and works until it is told to end."""

    def __init__(self) -> None:
        self.waiting: list[object] = []
        self.looks = 0
        self.looking, self.look_on = asyncio.Event(), asyncio.Event()
        self.working, self.end_work = asyncio.Event(), asyncio.Event()
        self.look_on.set()

    async def take(self, limit, only):
        taken, self.waiting = self.waiting, []
        self.looks += 1
        self.looking.set()
        await self.look_on.wait()
        return taken

    async def handle(self, order):
        self.working.set()
        await self.end_work.wait()


async def settled(line: Line, idle: bool) -> None:
    async with asyncio.timeout(5):
        while line.idle is not idle:  # noqa: ASYNC110  the attribute under test is all there is
            await asyncio.sleep(0)


async def test_a_line_is_not_idle_from_the_look_that_takes_to_the_end_of_the_work(monkeypatch):
    """What a look takes is under our lease before the look returns: already then the line is busy."""
    monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.001)
    station = Station()

    async def handled(order, fault) -> None:
        assert fault is None

    line = Line(station, workers=1, only=lambda: None, handled=handled)
    running = asyncio.create_task(line.run(lambda: False))
    await settled(line, idle=True)

    station.look_on.clear()
    station.looking.clear()
    station.waiting = [SimpleNamespace(order_id=1)]
    await station.looking.wait()
    assert not line.idle
    station.look_on.set()
    await station.working.wait()
    looks = station.looks
    async with asyncio.timeout(5):
        while station.looks == looks:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
    assert not line.idle
    station.end_work.set()
    await settled(line, idle=True)
    running.cancel()
    await asyncio.wait({running})
