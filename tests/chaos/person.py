"""The operator, who resolves by hand the orders that the vendor's numbers leave open."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import timedelta

import httpx

from chaos import crew
from chaos.requests import as_ordered, as_sent
from seedance_dagster.engine.reconcile.manual import ManualResolutionError, adopt_by_hand, requeue_by_hand
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import Worker, working
from seedance_dagster.ledger.order import Order, State

_SURELY_OVER = timedelta(seconds=5)  # longer than any POST of the calm


def resolve_by_hand(services: Services, vendor_url: str) -> None:
    """Adopt or requeue each order that needs an operator, who reads the emulator's accounts."""

    async def resolve() -> None:
        async with working(services, f"person {time.time_ns()}") as worker:
            for order in services.ledger.queries.find(states={State.UNCERTAIN}):
                uncertain_for = services.clock() - (order.lost_at or order.ordered_at)
                grace = timedelta(seconds=services.policy.grace_s)
                if uncertain_for > _SURELY_OVER + 2 * grace:  # the history has had its chance
                    with contextlib.suppress(ManualResolutionError):  # it was resolved meanwhile
                        await _resolve(worker, order, vendor_url)

    while not crew.on_termination:
        asyncio.run(resolve())
        time.sleep(1)


async def _resolve(worker: Worker, order: Order, vendor_url: str) -> None:
    request = as_sent(order)
    async with httpx.AsyncClient(trust_env=False) as site:
        tasks = (await site.get(f"{vendor_url}/emulator/books")).json()["tasks"]
    same = {
        task["task_id"]
        for task in tasks
        if task["source"] == "api" and as_ordered(task["request"]) == request
    }
    free = sorted(same - worker.services.ledger.reconciliation.owned_tasks(same))
    if free:
        await adopt_by_hand(worker, order, free[0])
    else:
        await requeue_by_hand(worker, order)
