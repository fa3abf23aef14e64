"""The engine's events in a plain `for` loop: the engine runs on in a thread while the caller is busy."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from seedance_dagster.engine.events import Event

_UNREAD_EVENTS = 100  # the stream waits while the caller is further behind
_LOOK_S = 0.5  # how often a waiting caller can be interrupted
_END = None  # stands after the last event


@contextmanager
def in_background(make: Callable[[], AsyncIterator[Event]]) -> Iterator[Iterator[Event]]:
    """Run an event stream in a thread of its own.

    Leaving the block, also by an exception such as a run's termination, cancels the stream and
    waits for its clean end: leases released, answers to POSTs under way recorded.

    Args:
        make: Makes the stream, inside the thread's event loop.

    Yields:
        The events. What the stream raises is raised here.

    Example:
        >>> with in_background(lambda: advance(services, owner="me")) as events:  # doctest: +SKIP
        ...     for event in events:
        ...         print(event)
    """
    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    stop = threading.Event()
    runner = _Runner(make, events, stop)
    try:
        runner.start()
        yield _drain(events, runner)
    finally:
        stop.set()
        if runner.ident is not None:  # an interrupt may come before it was started
            runner.join()


class _Runner(threading.Thread):
    def __init__(
        self,
        make: Callable[[], AsyncIterator[Event]],
        events: queue.SimpleQueue[Event | None],
        stop: threading.Event,
    ) -> None:
        super().__init__(name="seedance-engine", daemon=True)
        self._make = make
        self._events = events
        self._stopping = stop
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread
            self.error = error
        finally:
            self._events.put(_END)

    async def _main(self) -> None:
        pumping = asyncio.create_task(self._pump())
        while not pumping.done() and not self._stopping.is_set():
            await asyncio.wait({pumping}, timeout=0.1)
        pumping.cancel()
        await asyncio.wait({pumping})
        if not pumping.cancelled():
            pumping.result()

    async def _pump(self) -> None:
        stream = self._make()
        try:
            async for event in stream:
                while self._events.qsize() >= _UNREAD_EVENTS:  # noqa: ASYNC110  a thread's queue cannot be awaited
                    await asyncio.sleep(0.02)
                self._events.put(event)
        finally:
            await stream.aclose()  # type: ignore[attr-defined]  # always an async generator here


def _drain(events: queue.SimpleQueue[Event | None], runner: _Runner) -> Iterator[Event]:
    while True:
        try:
            event = events.get(timeout=_LOOK_S)
        except queue.Empty:
            continue
        if event is _END:
            break
        yield event
    if runner.error is not None:
        raise runner.error from None
