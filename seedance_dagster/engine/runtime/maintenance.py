"""What a run does beside its own orders: look after what others left, and say why orders wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection

from seedance_dagster.engine.account import remember_account
from seedance_dagster.engine.events import Delayed, Event
from seedance_dagster.engine.reconcile.reconcile import reconcile
from seedance_dagster.engine.runtime.watch import OrderWatch
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.threads import in_thread

_log = logging.getLogger(__name__)
_ASK_ACCOUNT_S = 30.0  # how often a long run asks for limit and balance


class Maintenance:
    """The rounds of one worker; nothing that goes wrong in one ends the work."""

    def __init__(
        self, worker: Worker, waiting: OrderWatch | None, emit: Callable[[Event], Awaitable[None]]
    ) -> None:
        self._worker = worker
        self._ledger = worker.services.ledger
        self._waiting = waiting
        self._emit = emit
        self._asked = time.monotonic()
        self._told: frozenset[str] = frozenset()

    async def once(self) -> None:
        """One round; what is wrong with the ledger, and why orders wait, is told when it is new."""
        try:
            reasons = await self._round()
        except LedgerUnavailableError as error:
            reasons = (str(error),)
        except Exception:  # noqa: BLE001  a surprise here must not let a run wait for ever
            _log.exception("unexpected error beside the work")
            return
        for reason in sorted(set(reasons) - self._told):
            await self._emit(Delayed(None, reason))
        self._told = frozenset(reasons)

    async def _round(self) -> Collection[str]:
        await self._worker.return_orders()
        await in_thread(self._ledger.claims.expire, actor=self._worker.name)
        await reconcile(self._worker)
        if time.monotonic() - self._asked > _ASK_ACCOUNT_S:
            self._asked = time.monotonic()
            await remember_account(self._worker)
        if self._waiting is not None:
            async for event in self._waiting.look():
                await self._emit(event)
        throttle = await in_thread(self._worker.services.throttle)
        waits = (await in_thread(self._ledger.workload.actionable)).to_submit
        return throttle.reasons if waits else ()
