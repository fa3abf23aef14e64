"""Worker pools: each takes due orders for its stage and handles a fixed number at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from seedance_dagster.engine.policy import Pacing
from seedance_dagster.ledger.errors import LedgerUnavailableError, StaleOrderError
from seedance_dagster.ledger.order import Order

_log = logging.getLogger(__name__)


class Stage(Protocol):
    """One kind of work on orders."""

    async def take(self, limit: int, only: list[int] | None) -> list[Order]:
        """Take up to `limit` due orders, only of some ids if given."""

    async def handle(self, order: Order) -> None:
        """Do the work on one order."""


class WorkerPool:
    """A fixed number of workers of one stage on one queue.

    Attributes:
        in_hand: The ids of the orders that it took and has not finished.
        idle: True from a look that found nothing, with no worker busy, to the next look.
        trouble: Why the ledger did not answer at the last look; None when it did.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        workers: int,
        pacing: Pacing,
        only: Callable[[], list[int] | None],
        handled: Callable[[Order, Exception | None], Awaitable[None]],
    ) -> None:
        self._stage = stage
        self._workers = workers
        self._pacing = pacing
        self._only = only
        self._handled = handled
        self._queue: asyncio.Queue[Order] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._busy = 0
        self.in_hand: set[int] = set()
        self.idle = False
        self.trouble: str | None = None

    def wake(self) -> None:
        """Look for due orders again: there may be some."""
        self.idle = False
        self._wake.set()

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Work until cancelled; take nothing new once `stopping()`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())
            while True:
                self._wake.clear()
                self.idle = False  # a look leases orders before it returns
                taken = [] if stopping() else await self._take()
                for order in taken:
                    self.in_hand.add(order.order_id)
                    self._queue.put_nowait(order)
                if not taken:
                    self.idle = not self._busy and self._queue.empty() and not self._wake.is_set()
                    await self._nap()

    async def _take(self) -> list[Order]:
        if not self._queue.empty():
            return []  # several are leased together once all that were taken have a worker
        room = 2 * self._workers - self._busy
        try:
            taken = await self._stage.take(room, self._only())
        except LedgerUnavailableError as error:
            if self.trouble is None:
                _log.warning("%s; looking again soon", error)
            self.trouble = str(error)
            return []
        self.trouble = None
        # A worker whose lease had run out may be given what it still works on.
        return [order for order in taken if order.order_id not in self.in_hand]

    async def _nap(self) -> None:
        try:
            async with asyncio.timeout(self._pacing.take_s):
                await self._wake.wait()
                await asyncio.sleep(self._pacing.gather_s)
        except TimeoutError:
            return

    async def _work(self) -> None:
        while True:
            order = await self._queue.get()
            self._busy += 1
            failure: Exception | None = None
            try:
                await self._stage.handle(order)
            except StaleOrderError:
                # Another worker went on with the order; this one wrote nothing.
                _log.info("another worker went on with order %s", order.order_id)
            except LedgerUnavailableError as error:
                _log.warning("order %s: %s", order.order_id, error)
                failure = error
            except Exception as error:  # noqa: BLE001  one order must not stop the others
                _log.exception("order %s: unexpected error", order.order_id)
                failure = error
            finally:
                self._busy -= 1
                self.in_hand.discard(order.order_id)
            await self._handled(order, failure)
            self.wake()  # there is room for another
