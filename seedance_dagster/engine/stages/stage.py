"""Worker pools: each takes due orders for its stage and handles a fixed number at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from seedance_dagster.engine.policy import Pacing
from seedance_dagster.ledger.errors import LedgerBehindError, LedgerUnavailableError, StaleOrderError
from seedance_dagster.ledger.order import Order

_log = logging.getLogger(__name__)


class Stage(Protocol):
    """One kind of work on orders."""

    async def take(self, limit: int, only: list[int] | None) -> list[Order]:
        """Take up to `limit` due orders, only those of some ids if given.

        Raises:
            LedgerUnavailableError: Not now.
            LedgerBehindError: Never again.
        """

    async def handle(self, order: Order) -> None:
        """Do the work on one order."""


class WorkerPool:
    """A fixed number of workers of one stage on one queue.

    Attributes:
        in_hand: The ids of the orders that it took and has not finished.
        trouble: Why the ledger did not answer at the last look; None when it did.
        refusal: Why the work must end; None while it may go on.
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
        self._took_all = False  # True when the last look took all due orders, and none became due since
        self.in_hand: set[int] = set()
        self.trouble: str | None = None
        self.refusal: LedgerBehindError | None = None

    @property
    def idle(self) -> bool:
        """True while no worker is busy and nothing is known to be due."""
        return self._took_all and not self._busy and self._queue.empty()

    def wake(self) -> None:
        """Look for due orders again: there may be some."""
        self._took_all = False
        self._wake.set()

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Work until cancelled; take nothing new once `stopping()`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())
            while True:
                self._wake.clear()
                if self._queue.empty():  # several are taken together, once all before them have a worker
                    await self._look(stopping)
                await self._nap()

    async def _look(self, stopping: Callable[[], bool]) -> None:
        """Take the orders that are due, as far as there is room for them."""
        self._took_all = False  # a look leases orders before it returns
        room = 2 * self._workers - self._busy
        taken = [] if stopping() else await self._take(room)
        for order in taken:
            # A worker whose lease had run out may be given an order that it still works on.
            if order.order_id not in self.in_hand:
                self.in_hand.add(order.order_id)
                self._queue.put_nowait(order)
        self._took_all = len(taken) < room and not self._wake.is_set()

    async def _take(self, limit: int) -> list[Order]:
        try:
            taken = await self._stage.take(limit, self._only())
        except LedgerUnavailableError as error:
            if self.trouble is None:
                _log.warning("%s; looking again soon", error)
            self.trouble = str(error)
            return []
        except LedgerBehindError as error:
            self.refusal = error
            return []
        self.trouble = None
        return taken

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
            if self._queue.empty() and not self._took_all:
                self._wake.set()  # there is room for more
            try:
                await self._handled(order, await self._handle(order))
            finally:
                self._busy -= 1
                self.in_hand.discard(order.order_id)

    async def _handle(self, order: Order) -> Exception | None:
        """Do the work on one order; return an unexpected error."""
        try:
            await self._stage.handle(order)
        except StaleOrderError:
            # Another worker went on with the order; this one wrote nothing.
            _log.info("another worker went on with order %s", order.order_id)
        except LedgerUnavailableError as error:
            _log.warning("order %s: %s", order.order_id, error)
            return error
        except Exception as error:  # noqa: BLE001  one order must not stop the others
            _log.exception("order %s: unexpected error", order.order_id)
            return error
        return None
