"""Blocking work from asynchronous code, cancelled while it fails."""

from __future__ import annotations

import asyncio
import gc
import threading

from seedance_dagster.generation.threads import in_thread


async def test_work_that_fails_after_its_cancellation_leaves_nothing_unsaid():
    """A ledger write that fails while its worker is told to stop puts no traceback into the log."""
    said: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
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
    assert said == []
