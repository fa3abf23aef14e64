"""What the account says: how many tasks at once, how much money is left, and what does not add up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.api.prices import points_to_usd
from seedance_dagster.api.wire import HistoryRow, Task
from seedance_dagster.generation.gate import CREDITS, PLAN_LIMIT
from seedance_dagster.generation.services import Services
from seedance_dagster.generation.threads import in_thread
from seedance_dagster.generation.worker import Worker
from seedance_dagster.ledger.flows import Flow

_BALANCE, _BALANCE_OUTFLOW = "balance", "balance_outflow"
_CREDITS_PAUSE = timedelta(minutes=2)  # renewed by every look that still finds too little


async def learn_account(worker: Worker) -> None:
    """Ask for limit and balance, for all processes; an account page that is down changes nothing."""
    services = worker.services
    before = await in_thread(services.ledger.flow)
    try:
        account = await worker.client.account()
    except SeedanceError:
        return
    if account.max_concurrent_tasks is not None:
        await in_thread(services.ledger.learn, {PLAN_LIMIT: account.max_concurrent_tasks})
    if account.points_remaining is not None:
        await in_thread(_heed_balance, services, account.points_remaining)
        await in_thread(_note_balance, services, account.points_remaining, before)


async def unexplained_points(
    worker: Worker, strangers: Sequence[Task], other_rows: Sequence[HistoryRow] = ()
) -> int | None:
    """Points that left the account for no task that is known: what a task nobody found may hold.

    Args:
        worker: The worker that asks.
        strangers: Tasks in the vendor's history that no order owns; what they took is explained.
        other_rows: The same of tasks that were not read one by one.

    Returns:
        The points, negative after a payment into the account; None when the account does not tell.
    """
    ledger = worker.services.ledger
    noted = await in_thread(ledger.learned, _BALANCE, _BALANCE_OUTFLOW)
    try:
        left = (await worker.client.account()).points_remaining
    except SeedanceError:
        return None
    if left is None or len(noted) < 2:  # noqa: PLR2004  both numbers are noted together
        return None
    balance, outflow = noted[_BALANCE], noted[_BALANCE_OUTFLOW]
    # Read after the balance: what was recorded meanwhile explains more, never less.
    explained = (await in_thread(ledger.flow)).outflow - outflow.value
    taken = [(task.created_at, max(task.points_held, task.points_charged or 0)) for task in strangers]
    taken += [(row.created_at, row.points or 0) for row in other_rows]
    explained += sum(points for made_at, points in taken if made_at is not None and made_at >= balance.at)
    return balance.value - left - explained


def _heed_balance(services: Services, points: int) -> None:
    needed = services.ledger.cheapest_queued()
    if needed is None or points >= needed:
        services.ledger.resume(CREDITS)
        return
    message = (
        f"out of credits: {points_to_usd(points)} USD are left, the cheapest queued order is estimated at "
        f"{points_to_usd(needed)} USD. Buy credits; it goes on by itself when they are there"
    )
    services.ledger.pause(CREDITS, until=services.clock() + _CREDITS_PAUSE, message=message)


def _note_balance(services: Services, points: int, before: Flow) -> None:
    """Remember the balance, if no task can have been made unseen while it was read."""
    if before.in_doubt == 0 and services.ledger.flow() == before:
        services.ledger.learn({_BALANCE: points, _BALANCE_OUTFLOW: before.outflow})
