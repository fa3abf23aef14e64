"""The account: its limit of tasks at once, and its balance."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from seedance_dagster.api.account import AccountInfo
from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.throttle import CREDITS, PLAN_LIMIT, low_balance_message
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.workload import Flow
from seedance_dagster.threads import in_thread

BALANCE, BALANCE_OUTFLOW = "balance", "balance_outflow"
"""Observations in the ledger, made together: the balance, and what all known tasks had taken by then."""

_CREDITS_PAUSE = timedelta(minutes=2)  # renewed by every read that still finds too little
_TIMEOUT_S = 10.0


async def read_account(worker: Worker) -> AccountInfo | None:
    """Read the account; return None when the vendor does not answer."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await worker.client.account()
    except (SeedanceError, TimeoutError):
        return None


async def remember_account(worker: Worker) -> None:
    """Read limit and balance for all processes; without an answer nothing changes."""
    services = worker.services
    before = await in_thread(services.ledger.workload.flow)
    account = await read_account(worker)
    if account is None:
        return
    if account.max_concurrent_tasks is not None:
        await in_thread(services.ledger.observations.remember, {PLAN_LIMIT: account.max_concurrent_tasks})
    if account.points_remaining is not None:
        await in_thread(_pause_without_credits, services, account.points_remaining)
        await in_thread(_remember_balance, services, account.points_remaining, before)


def _pause_without_credits(services: Services, points: int) -> None:
    needed = services.ledger.workload.cheapest_queued()
    if needed is None or points >= needed:
        services.ledger.pauses.end(CREDITS)
        return
    message = low_balance_message(points, needed)
    services.ledger.pauses.start(CREDITS, until=services.clock() + _CREDITS_PAUSE, message=message)


def _remember_balance(services: Services, points: int, before: Flow) -> None:
    """Remember the balance, if no task can have been made or have ended unseen while it was read."""
    if not before.claimed + before.uncertain + before.running and services.ledger.workload.flow() == before:
        services.ledger.observations.remember({BALANCE: points, BALANCE_OUTFLOW: before.outflow})
