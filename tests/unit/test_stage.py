"""A worker pool reports correctly whether it is idle: the end of a run depends on it."""

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
    """A stage that hands out the orders it is given, and works on each until it may end."""

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


async def until_idle(pool: WorkerPool) -> None:
    async with asyncio.timeout(5):
        while not pool.idle:  # noqa: ASYNC110  the attribute under test is all there is
            await asyncio.sleep(0)


async def test_a_pool_is_not_idle_from_the_look_to_the_end_of_the_work():
    """A pool is busy from the start of a look, which leases orders before it returns."""
    stage = Stage()

    async def handled(order, error) -> None:
        assert error is None

    pool = WorkerPool(stage, workers=1, pacing=FAST, only=lambda: None, handled=handled)
    running = asyncio.create_task(pool.run(lambda: False))
    await until_idle(pool)

    stage.look_on.clear()
    stage.looking.clear()
    stage.waiting = [SimpleNamespace(order_id=1)]
    await stage.looking.wait()
    assert not pool.idle
    stage.look_on.set()
    await stage.working.wait()
    looks = stage.looks
    async with asyncio.timeout(5):
        while stage.looks == looks:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
    assert not pool.idle
    stage.end_work.set()
    await until_idle(pool)
    running.cancel()
    await asyncio.wait({running})


@pytest.fixture
def running_pool():
    """Runs a pool over a stage while the block runs; returns what was handled: id to error."""

    @contextlib.asynccontextmanager
    async def run(stage, *, workers: int = 2, stopping=lambda: False, only=lambda: None, pacing=FAST):
        done: dict[int, Exception | None] = {}

        async def handled(order, error) -> None:
            done[order.order_id] = error

        pool = WorkerPool(stage, workers=workers, pacing=pacing, only=only, handled=handled)
        running = asyncio.create_task(pool.run(stopping))
        yield pool, done
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()

    return run


class NumberedOrders:
    """A stage with numbered orders; `errors` are raised by number, or waited for where they are events."""

    def __init__(self, count: int, errors: dict[int, object] | None = None) -> None:
        self.left = [SimpleNamespace(order_id=number) for number in range(count)]
        self.errors = errors or {}
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
            error = self.errors.get(order.order_id)
            if isinstance(error, asyncio.Event):
                await error.wait()
            elif isinstance(error, Exception):
                raise error
        except asyncio.CancelledError:
            self.cancelled.append(order.order_id)
            raise
        finally:
            self.busy -= 1


async def test_no_more_orders_are_taken_than_there_are_workers_for(running_pool):
    """A fixed number of workers runs, and the queue before them is as short."""
    stage = NumberedOrders(40)
    async with running_pool(stage, workers=3) as (pool, done):
        await until_idle(pool)
    assert len(done) == 40
    assert stage.most == 3
    assert max(limit for limit, _ in stage.asked) == 6


async def test_a_pool_takes_several_orders_together(running_pool):
    """Nothing is taken while an order waits for a worker, so that few looks take many orders."""
    stage = NumberedOrders(40)
    async with running_pool(stage, workers=4) as (pool, done):
        await until_idle(pool)
    assert len(done) == 40
    assert len(stage.asked) <= 2 + 40 // 4


async def test_a_pool_looks_again_only_where_more_may_be_due(running_pool):
    """A look with room for more is the last one, until something may be due; a full one is followed."""
    for count, looks in ((3, 1), (8, 2)):
        stage = NumberedOrders(count)
        async with running_pool(stage, workers=4, pacing=Pacing(take_s=3600)) as (pool, done):
            await until_idle(pool)
        assert (len(done), len(stage.asked)) == (count, looks)


async def test_a_pool_can_be_limited_to_some_orders(running_pool):
    """The ids that a run waits for are passed to the stage."""
    stage = NumberedOrders(1)
    async with running_pool(stage, only=lambda: [1, 2]) as (pool, _):
        await until_idle(pool)
    assert {tuple(only) for _, only in stage.asked} == {(1, 2)}


async def test_one_order_s_error_does_not_stop_the_others(running_pool, caplog):
    """An unexpected error is reported with its order, another worker's order is not; the rest is done."""
    surprise, gone = RuntimeError("surprise"), LedgerUnavailableError("locked")
    stage = NumberedOrders(9, {1: surprise, 4: StaleOrderError("theirs"), 6: gone})
    async with running_pool(stage) as (pool, done):
        await until_idle(pool)
    assert done == dict.fromkeys(range(9)) | {1: surprise, 6: gone}
    assert "order 1: unexpected error" in caplog.text
    assert "order 6: locked" in caplog.text


async def test_an_unavailable_ledger_is_asked_again(running_pool, caplog):
    """A pool outlives a ledger that cannot be read, and goes on when it is back."""
    stage = NumberedOrders(3)
    stage.gone = 3
    async with running_pool(stage) as (_, done), asyncio.timeout(5):
        while len(done) < 3:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
    assert "the ledger is locked; looking again soon" in caplog.text


async def test_a_stopping_pool_takes_nothing_new(running_pool):
    """Work under way ends, and nothing else begins."""
    stage = NumberedOrders(3)
    async with running_pool(stage, stopping=lambda: True) as (pool, done):
        await until_idle(pool)
    assert (stage.asked, done) == ([], {})


async def test_a_cancelled_pool_cancels_work_under_way(running_pool):
    """The work under way is cancelled, and can clean up."""
    stage = NumberedOrders(2, {0: asyncio.Event(), 1: asyncio.Event()})
    async with running_pool(stage), asyncio.timeout(5):
        while stage.busy < 2:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
    assert sorted(stage.cancelled) == [0, 1]


async def test_a_pool_wakes_at_once_for_new_work(running_pool):
    """New work does not wait for the next regular look."""
    stage = NumberedOrders(0)
    async with running_pool(stage, pacing=Pacing(take_s=3600)) as (pool, done), asyncio.timeout(5):
        await until_idle(pool)
        stage.left = [SimpleNamespace(order_id=7)]
        pool.wake()
        assert not pool.idle
        while 7 not in done:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)


async def test_an_order_is_never_handled_twice_at_once(running_pool):
    """An order that an expired lease lets a worker take again, while it works on it, is not started again."""
    going_on = asyncio.Event()
    stage = NumberedOrders(1, {0: going_on})
    async with running_pool(stage) as (pool, done):
        async with asyncio.timeout(5):
            while not stage.busy:  # noqa: ASYNC110  as above
                await asyncio.sleep(0)
            looks = len(stage.asked)
            stage.left = [SimpleNamespace(order_id=0)]
            while len(stage.asked) < looks + 2:  # noqa: ASYNC110  as above
                await asyncio.sleep(0.001)
        assert stage.most == 1
        going_on.set()
        await until_idle(pool)
        stage.left = [SimpleNamespace(order_id=0)]
        done.clear()
        pool.wake()
        await until_idle(pool)
    assert done == {0: None}
