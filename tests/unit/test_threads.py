"""Blocking work from asynchronous code, done, failed or cancelled."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from seedance_dagster.threads import in_decoding_thread, in_thread


async def test_work_that_fails_after_its_cancellation_is_not_logged():
    """A ledger write that fails while its worker is cancelled leaves no traceback in the log."""
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()
        raise ValueError

    waiting = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    del waiting
    gc.collect()
    assert errors == []


async def test_blocking_work_returns_its_result_or_raises_its_error():
    """The result or the error of the work comes back, and the loop goes on meanwhile."""
    went_on = threading.Event()

    def work(number: int, *, more: int) -> int:
        assert went_on.wait(5)
        return number + more

    doing = asyncio.create_task(in_thread(work, 1, more=2))
    await asyncio.sleep(0)
    went_on.set()
    assert await doing == 3
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_work_that_was_begun_is_finished_before_its_cancellation_is_seen():
    """A ledger write under way is over when the worker's leases are released."""
    steps: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        go_on.wait()
        steps.append("written")

    async def worker() -> None:
        try:
            await in_thread(write)
        finally:
            steps.append("released")

    working = asyncio.create_task(worker())
    await asyncio.to_thread(begun.wait)
    working.cancel()
    await asyncio.sleep(0)
    assert steps == []
    go_on.set()
    await asyncio.wait({working})
    assert working.cancelled()
    assert steps == ["written", "released"]


def test_pictures_are_decoded_in_one_thread():
    """Decoders keep their memory in one thread, and their result or error comes back."""
    with ThreadPoolExecutor(4) as askers:
        asked = [askers.submit(in_decoding_thread, threading.get_ident) for _ in range(20)]
        assert len({future.result() for future in asked}) == 1
    with pytest.raises(ZeroDivisionError):
        in_decoding_thread(lambda: 1 // 0)
