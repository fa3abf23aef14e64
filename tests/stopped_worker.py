"""A worker process that is stopped before its POSTs: `python -m stopped_worker LEDGER API ORDERS`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress

from harness import API_KEY
from pydantic import SecretStr
from stores import MemoryStore

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.engine.events import Event
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.claim_look import ClaimLook
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import working
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order

LEASE_S = 3.0


async def work(ledger_url: str, api_url: str) -> None:
    """Claim everything, and send it all at once."""
    ledger = Ledger.open(ledger_url)
    services = Services(
        ledger=ledger,
        open_client=lambda: SeedanceClient(api_key=SecretStr(API_KEY), base_url=api_url),
        store=MemoryStore(),
        policy=Policy(lease_s=LEASE_S),
    )

    async def emit(_: Event) -> None:
        pass

    async def send(order: Order) -> None:
        with suppress(StaleOrderError):
            await submitter.handle(order)

    async with working(services, "stopped") as worker:
        submitter = Submitter(worker, emit)
        await asyncio.gather(*map(send, await submitter.take(100, None)))
    ledger.close()


def stop_behind_the_looks(count: int) -> None:
    """Make the process stop itself once, after `count` looks at claims and before any of their POSTs."""
    reason_to_wait, looks, stopped = ClaimLook.reason_to_wait, [], asyncio.Event()

    async def looking(self: ClaimLook) -> str | None:
        reason = await reason_to_wait(self)
        looks.append(reason)
        if len(looks) == count:
            os.kill(os.getpid(), signal.SIGSTOP)
            stopped.set()
        await stopped.wait()
        return reason

    ClaimLook.reason_to_wait = looking  # type: ignore[method-assign]


if __name__ == "__main__":
    stop_behind_the_looks(int(sys.argv[3]))
    asyncio.run(work(*sys.argv[1:3]))
