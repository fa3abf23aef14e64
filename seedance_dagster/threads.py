"""Blocking work from asynchronous code, and work that needs a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_DECODING = ThreadPoolExecutor(1, thread_name_prefix="seedance-decoding")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking work in a thread, and on cancellation wait for its end.

    A ledger write that was begun is thus finished before leases are released.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # or asyncio would log it as never retrieved
        raise


def in_decoding_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work in the one thread of this process that decodes pictures, and wait for it.

    A thread keeps about 10 MB after decoding, so only one decodes, not each that transfers videos.
    """
    return _DECODING.submit(work, *args, **kwargs).result()
