"""Workers: a name, leases of the orders in hand, and a client, all returned at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from uuid import uuid4

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.engine.lifecycle import End
from seedance_dagster.engine.polling.plan import PollPlan
from seedance_dagster.engine.seen_progress import SeenProgress
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import Order
from seedance_dagster.threads import in_thread


@dataclass(frozen=True)
class Worker:
    """A run, tick or command that works on orders.

    Attributes:
        name: Unique; leases and journal rows carry it.
        client: The open API client.
        possibly_sent: Orders whose POST is under way, or left and has no recorded answer.
        unwritten: Orders that it holds and has recorded nothing about, since the ledger was unavailable.
        in_hand: The orders that each of its pools works on, by id; their leases are renewed, and no others.
    """

    name: str
    services: Services
    client: SeedanceClient
    possibly_sent: set[int] = field(default_factory=set)
    unwritten: set[int] = field(default_factory=set)
    in_hand: list[Collection[int]] = field(default_factory=list)

    @cached_property
    def plan(self) -> PollPlan:
        """The plan of its polls."""
        services = self.services
        return PollPlan(services.ledger, services.policy.pacing, services.clock)

    @cached_property
    def seen(self) -> SeenProgress:
        """Its own memory of the ledger's progress."""
        return SeenProgress(self.services.ledger)

    async def end(self, order: Order, step: End) -> tuple[Order, Order | None]:
        """Record the end of an order; return it and its next attempt, if there is one."""
        return await in_thread(
            self.services.ledger.tasks.ended,
            order,
            step.state,
            actor=self.name,
            error_class=step.error_class,
            reason=step.reason,
            task=step.seen,
            retry_at=step.retry_at,
        )

    async def return_orders(self) -> None:
        """Return unwritten orders, so that any worker may take them again; raise `LedgerUnavailableError`."""
        unwritten = frozenset(self.unwritten)
        if unwritten:
            ledger = self.services.ledger
            await in_thread(
                ledger.tasks.return_orders, self.name, unwritten, possibly_sent=self.possibly_sent & unwritten
            )
            self.unwritten.difference_update(unwritten)
            self.possibly_sent.difference_update(unwritten)


def worker_name(role: str) -> str:
    """Return a name that no other process has, not even one that resumes the same run."""
    return f"{role} {uuid4().hex[:8]}"


@asynccontextmanager
async def working(services: Services, name: str) -> AsyncIterator[Worker]:
    """Renew a worker's leases while the block runs, then release its orders, even on cancellation."""
    async with services.open_client() as client:
        worker = Worker(name, services, client)
        renewal = asyncio.create_task(_renew(worker))
        try:
            yield worker
        finally:
            renewal.cancel()
            with contextlib.suppress(LedgerUnavailableError):
                # In an unavailable ledger the leases expire automatically.
                services.ledger.tasks.release(name, possibly_sent=worker.possibly_sent)


async def _renew(worker: Worker) -> None:
    """Renew the leases of the orders in hand; those of other orders run out."""
    services, lease_s = worker.services, worker.services.policy.lease_s
    while True:
        await asyncio.sleep(lease_s / 4)
        in_hand = worker.unwritten.union(*worker.in_hand)
        with contextlib.suppress(LedgerUnavailableError):
            await in_thread(services.ledger.leases.renew, worker.name, in_hand, seconds=lease_s)
