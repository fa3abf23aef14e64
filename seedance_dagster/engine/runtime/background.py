"""The engine in a background thread, and its events in a plain `for` loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from seedance_dagster.engine.events import Emit, Event, Stored, Submitted

_INTERRUPT_S = 0.5  # a waiting caller can be interrupted this often, on platforms whose locks cannot be


@contextmanager
def in_background(
    work: Callable[[Emit], Awaitable[None]],
    *,
    unread: int = 100,
    head_start_s: float = 0.0,
    idle: Callable[[], None] = lambda: None,
) -> Iterator[Iterator[Event]]:
    """Run asynchronous work in a thread of its own, and iterate over the events that it emits.

    The work goes on while the caller is busy with an event, and no POST waits for the caller. Only a stored
    video waits, since it holds a picture. An event of a submitted task for which there is no room is dropped:
    the ledger knows what was not reported.

    Leaving the block, even by an exception such as a run's termination, cancels the work and waits for its
    clean end: leases released, answers to POSTs under way recorded.

    Args:
        work: Emits events; called inside the thread's event loop.
        unread: How many submitted tasks and stored videos may wait for the caller.
        head_start_s: The longest that the caller waits for the first event before it goes on: two busy
            threads of a process slow each other down, and the first POSTs should not wait for the caller.
        idle: Called in the caller's thread when it has waited half a second for the next event.

    Yields:
        The events. An exception of the work is raised after the last one.

    Example:
        >>> with in_background(lambda emit: advance(services, emit, owner="me")) as events:  # doctest: +SKIP
        ...     for event in events:
        ...         print(event)
    """
    engine = _EngineThread(work, unread)
    try:
        engine.start()
        engine.begun.wait(head_start_s)
        yield engine.events(idle)
    finally:
        engine.stop()


class _EngineThread(threading.Thread):
    def __init__(self, work: Callable[[Emit], Awaitable[None]], unread: int) -> None:
        super().__init__(name="seedance-engine", daemon=True)
        self._work = work
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()  # None comes last
        self._unread = unread
        self._room = asyncio.Semaphore(unread)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._error: BaseException | None = None
        self.begun = threading.Event()

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001  raised in the caller's thread
            self._error = error
        finally:
            self._events.put(None)
            self.begun.set()

    def events(self, idle: Callable[[], None]) -> Iterator[Event]:
        while True:
            try:
                event = self._events.get(timeout=_INTERRUPT_S)
            except queue.Empty:
                idle()
                continue
            if event is None:
                break
            if isinstance(event, Submitted | Stored):
                self._call(self._room.release)
            yield event
        if self._error is not None:
            raise self._error from None

    def stop(self) -> None:
        self._stopping = True
        self._call(self._cancel)
        if self.ident is not None:  # an interrupt may come before it was started
            self.join()

    async def _main(self) -> None:
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        if not self._stopping:
            await self._work(self._emit)

    async def _emit(self, event: Event) -> None:
        if not self._stopping and isinstance(event, Submitted | Stored):
            if isinstance(event, Submitted) and self._room.locked():
                return
            await self._room.acquire()
        self._events.put(event)
        self.begun.set()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        for _ in range(self._unread):  # the caller is gone: nothing waits for it any more
            self._room.release()

    def _call(self, function: Callable[[], object]) -> None:
        """Call a function in the event loop, if it runs."""
        if self._loop is not None:
            with suppress(RuntimeError):  # closed
                self._loop.call_soon_threadsafe(function)
