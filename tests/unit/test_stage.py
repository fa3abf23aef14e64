"""A line of workers says truly whether it is idle: the end of a run hangs on it."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.stages.stage import WorkerPool
from seedance_dagster.ledger.errors import LedgerUnavailableError, StaleOrderError

FAST = Pacing(take_s=0.001)


class Stage:
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


async def settled(line: WorkerPool, idle: bool) -> None:
    async with asyncio.timeout(5):
        while line.idle is not idle:  # noqa: ASYNC110  the attribute under test is all there is
            await asyncio.sleep(0)


async def test_a_line_is_not_idle_from_the_look_that_takes_to_the_end_of_the_work():
    """What a look takes is under our lease before the look returns: already then the line is busy."""
    station = Stage()

    async def handled(order, fault) -> None:
        assert fault is None

    line = WorkerPool(station, workers=1, pacing=FAST, only=lambda: None, handled=handled)
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


@pytest.fixture
def at_work():
    """Runs a line over a station while the block runs, and gives what was handled: id to fault."""

    @contextlib.asynccontextmanager
    async def run(station, *, workers: int = 2, stopping=lambda: False, only=lambda: None, pacing=FAST):
        done: dict[int, Exception | None] = {}

        async def handled(order, fault) -> None:
            done[order.order_id] = fault

        line = WorkerPool(station, workers=workers, pacing=pacing, only=only, handled=handled)
        running = asyncio.create_task(line.run(stopping))
        yield line, done
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()

    return run


class Orders:
    """A station with numbered orders; `faults` are raised by number, or waited for when they are events."""

    def __init__(self, count: int, faults: dict[int, object] | None = None) -> None:
        self.left = [SimpleNamespace(order_id=number) for number in range(count)]
        self.faults = faults or {}
        self.asked: list[tuple[int, list[int] | None]] = []
        self.busy = self.most = 0
        self.cancelled: list[int] = []
        self.gone = 0

    async def take(self, limit, only):
        if self.gone:
            self.gone -= 1
            raise LedgerUnavailableError("the ledger is locked")
        self.asked.append((limit, only))
        taken, self.left = self.left[:limit], self.left[limit:]
        return taken

    async def handle(self, order):
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await asyncio.sleep(0)
            fault = self.faults.get(order.order_id)
            if isinstance(fault, asyncio.Event):
                await fault.wait()
            elif isinstance(fault, Exception):
                raise fault
        except asyncio.CancelledError:
            self.cancelled.append(order.order_id)
            raise
        finally:
            self.busy -= 1


async def test_never_more_are_at_work_or_taken_than_there_are_workers_for(at_work):
    """A fixed number works, and the queue before it is as short."""
    station = Orders(40)
    async with at_work(station, workers=3) as (line, done):
        await settled(line, idle=True)
    assert len(done) == 40
    assert station.most == 3
    assert max(limit for limit, _ in station.asked) == 6


async def test_only_some_orders_can_be_asked_for(at_work):
    """What a run waits for is handed on to the station."""
    station = Orders(1)
    async with at_work(station, only=lambda: [1, 2]) as (line, _):
        await settled(line, idle=True)
    assert {tuple(only) for _, only in station.asked} == {(1, 2)}


async def test_one_order_s_fault_does_not_stop_the_others(at_work, caplog):
    """A surprise is told with its order; an order in other hands is no fault; the rest is done."""
    surprise, gone = RuntimeError("surprise"), LedgerUnavailableError("locked")
    station = Orders(9, {1: surprise, 4: StaleOrderError("theirs"), 6: gone})
    async with at_work(station) as (line, done):
        await settled(line, idle=True)
    assert done == dict.fromkeys(range(9)) | {1: surprise, 6: gone}
    assert "order 1: unexpected error" in caplog.text
    assert "order 6: locked" in caplog.text


async def test_a_ledger_that_is_gone_for_a_while_is_asked_again(at_work, caplog):
    """A line outlives a ledger that cannot be read, and goes on when it is back."""
    station = Orders(3)
    station.gone = 3
    async with at_work(station) as (_, done), asyncio.timeout(5):
        while len(done) < 3:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
    assert "the ledger is locked; looking again soon" in caplog.text


async def test_a_line_that_is_to_stop_takes_nothing_new(at_work):
    """Work under way ends, and nothing else is begun."""
    station = Orders(3)
    async with at_work(station, stopping=lambda: True) as (line, done):
        await settled(line, idle=True)
    assert (station.asked, done) == ([], {})


async def test_a_cancelled_line_cancels_what_is_under_way(at_work):
    """The work under way hears of the end, and can clean up."""
    station = Orders(2, {0: asyncio.Event(), 1: asyncio.Event()})
    async with at_work(station), asyncio.timeout(5):
        while station.busy < 2:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
    assert sorted(station.cancelled) == [0, 1]


async def test_a_line_wakes_at_once_when_it_is_told_of_work(at_work):
    """New work does not wait for the next look by the clock."""
    station = Orders(0)
    async with at_work(station, pacing=Pacing(take_s=3600)) as (line, done), asyncio.timeout(5):
        await settled(line, idle=True)
        station.left = [SimpleNamespace(order_id=7)]
        line.wake()
        assert not line.idle
        while 7 not in done:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)


async def test_an_order_is_never_at_work_twice(at_work):
    """What a lapsed lease lets a worker take again while it still works on it is left to that work."""
    going_on = asyncio.Event()
    station = Orders(1, {0: going_on})
    async with at_work(station) as (line, done):
        async with asyncio.timeout(5):
            while not station.busy:  # noqa: ASYNC110  as above
                await asyncio.sleep(0)
            looks = len(station.asked)
            station.left = [SimpleNamespace(order_id=0)]
            while len(station.asked) < looks + 2:  # noqa: ASYNC110  as above
                await asyncio.sleep(0.001)
        assert station.most == 1
        going_on.set()
        await settled(line, idle=True)
        station.left = [SimpleNamespace(order_id=0)]
        done.clear()
        line.wake()
        await settled(line, idle=True)
    assert done == {0: None}
