"""What the account says: how many tasks at once, how much money is left, and what does not add up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.api.wire import AccountInfo, HistoryRow
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.throttle import CREDITS, PLAN_LIMIT, low_balance_message
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.workload import Flow
from seedance_dagster.threads import in_thread

_BALANCE, _BALANCE_OUTFLOW = "balance", "balance_outflow"
_CREDITS_PAUSE = timedelta(minutes=2)  # renewed by every look that still finds too little
_ABOUT = timedelta(seconds=10)  # so near to each other two clocks cannot tell what came first
_PATIENCE_S = 10.0  # there is work to be done beside asking


class OrdersMovedError(Exception):
    """Orders moved while the balance was read, so it proves nothing this time."""


async def remember_account(worker: Worker) -> None:
    """Ask for limit and balance, for all processes; an account page that is down changes nothing."""
    services = worker.services
    before = await in_thread(services.ledger.workload.flow)
    account = await _ask(worker)
    if account is None:
        return
    if account.max_concurrent_tasks is not None:
        await in_thread(services.ledger.observations.remember, {PLAN_LIMIT: account.max_concurrent_tasks})
    if account.points_remaining is not None:
        await in_thread(_heed_balance, services, account.points_remaining)
        await in_thread(_note_balance, services, account.points_remaining, before)


async def unexplained_points(worker: Worker, unmatched: Sequence[HistoryRow]) -> int | None:
    """Points that left the account for no task that is known: what a task nobody found may hold.

    Args:
        worker: The worker that asks.
        unmatched: Tasks in the vendor's history that no order owns; what they took is explained.

    Returns:
        The points; None when the numbers prove nothing: the account does not tell, there is more than
        there should be, such as after a payment into it, or what is missing may be a stranger's of about
        the time at which the balance was noted.

    Raises:
        OrdersMovedError: The numbers must be looked at again.
    """
    ledger = worker.services.ledger
    noted = await in_thread(ledger.observations.recall, _BALANCE, _BALANCE_OUTFLOW)
    before = await in_thread(ledger.workload.flow)
    account = await _ask(worker)
    if account is None or account.points_remaining is None or len(noted) < 2:  # noqa: PLR2004  noted together
        return None
    if before.claimed or await in_thread(ledger.workload.flow) != before:
        raise OrdersMovedError
    balance, outflow = noted[_BALANCE], noted[_BALANCE_OUTFLOW]
    explained, unclear = before.outflow - outflow.value, 0
    for row in unmatched:
        if row.created_at is None or abs(row.created_at - balance.at) < _ABOUT:
            unclear += row.points or 0
        elif row.created_at > balance.at:
            explained += row.points or 0
    unexplained = balance.value - account.points_remaining - explained
    return unexplained if unexplained >= 0 and not (unclear and unexplained) else None


async def _ask(worker: Worker) -> AccountInfo | None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await worker.client.account()
    except (SeedanceError, TimeoutError):
        return None


def _heed_balance(services: Services, points: int) -> None:
    needed = services.ledger.workload.cheapest_queued()
    if needed is None or points >= needed:
        services.ledger.pauses.end(CREDITS)
        return
    message = low_balance_message(points, needed)
    services.ledger.pauses.start(CREDITS, until=services.clock() + _CREDITS_PAUSE, message=message)


def _note_balance(services: Services, points: int, before: Flow) -> None:
    """Remember the balance, if no task can have been made or have ended unseen when it was read."""
    if not before.claimed + before.uncertain + before.running and services.ledger.workload.flow() == before:
        services.ledger.observations.remember({_BALANCE: points, _BALANCE_OUTFLOW: before.outflow})
