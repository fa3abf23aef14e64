"""A line of workers: it takes due orders and handles them, a fixed number at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from seedance_dagster.ledger.errors import LedgerUnavailableError, StaleOrderError
from seedance_dagster.ledger.order import Order

_log = logging.getLogger(__name__)
_LOOK_AGAIN_S = 1.0  # another process may have made work meanwhile
_GATHER_S = 0.05  # what ends shortly after one another is followed by one look


class Stage(Protocol):
    """Takes orders from the ledger and does one kind of work on each."""

    async def take(self, limit: int, only: list[int] | None) -> list[Order]:
        """Take up to `limit` due orders, restricted to some ids if given."""

    async def handle(self, order: Order) -> None:
        """Do the work on one order."""


class WorkerPool:
    """One station with a fixed number of workers on one queue.

    Attributes:
        idle: True from a look that found nothing, with no worker busy, to the next look.
    """

    def __init__(
        self,
        station: Stage,
        *,
        workers: int,
        only: Callable[[], list[int] | None],
        handled: Callable[[Order, Exception | None], Awaitable[None]],
    ) -> None:
        self._station = station
        self._workers = workers
        self._only = only
        self._handled = handled
        self._queue: asyncio.Queue[Order] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._busy = 0
        self._in_hand: set[int] = set()
        self._in_vain = False  # the ledger was not there at the last look
        self.idle = False

    def wake(self) -> None:
        """There may be something due: look again."""
        self.idle = False
        self._wake.set()

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Work until cancelled; take nothing new once `stopping()`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())
            while True:
                self._wake.clear()
                self.idle = False  # what a look takes is in our hands before it returns
                taken = [] if stopping() else await self._take()
                for order in taken:
                    self._in_hand.add(order.order_id)
                    self._queue.put_nowait(order)
                if not taken:
                    self.idle = not self._busy and self._queue.empty() and not self._wake.is_set()
                    await self._nap()

    async def _take(self) -> list[Order]:
        room = 2 * self._workers - self._queue.qsize() - self._busy
        if room <= 0:
            return []
        try:
            taken = await self._station.take(room, self._only())
        except LedgerUnavailableError as error:
            if not self._in_vain:
                _log.warning("%s; looking again soon", error)
            self._in_vain = True
            return []
        self._in_vain = False
        # A worker whose lease had run out may be given what it still works on.
        return [order for order in taken if order.order_id not in self._in_hand]

    async def _nap(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_AGAIN_S):
                await self._wake.wait()
                await asyncio.sleep(_GATHER_S)
        except TimeoutError:
            return

    async def _work(self) -> None:
        while True:
            order = await self._queue.get()
            self._busy += 1
            fault: Exception | None = None
            try:
                await self._station.handle(order)
            except StaleOrderError:
                # Somebody else went on with the order; nothing of ours was written.
                _log.info("order %s went on in other hands", order.order_id)
            except LedgerUnavailableError as error:
                _log.warning("order %s: %s", order.order_id, error)
                fault = error
            except Exception as error:  # noqa: BLE001  one order's surprise must not stop the others
                _log.exception("order %s: unexpected error", order.order_id)
                fault = error
            finally:
                self._busy -= 1
                self._in_hand.discard(order.order_id)
            await self._handled(order, fault)
