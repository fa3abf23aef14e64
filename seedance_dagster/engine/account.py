"""The account: its limit of tasks at once, its balance, and the changes that the vendor makes to texts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from seedance_dagster.api.account import AccountInfo
from seedance_dagster.api.echo import TEXT_CHANGES, changes_between
from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.api.wire import Task
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.throttle import CREDITS, PLAN_LIMIT, low_balance_message
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.order import Order
from seedance_dagster.threads import in_thread

BALANCE, BALANCE_OUTFLOW = "balance", "balance_outflow"
"""Two observations of an account, made together: its balance, and the points that known tasks had taken."""

_OUTFLOW_ENTRY = "balance_entry"  # the journal's newest entry at the time of that outflow

_CREDITS_PAUSE = timedelta(minutes=2)  # renewed by every read that still finds too little
_TIMEOUT_S = 10.0


def of_account(name: str, worker: Worker) -> str:
    """Return the name of an observation for the account that a worker uses."""
    return f"{name} of account {worker.client.account_name}"


def is_of_account(order: Order, worker: Worker) -> bool:
    """Return True unless an order was sent to an account other than the worker's."""
    return order.account in (None, worker.client.account_name)


def other_account(order: Order) -> str:
    """Return a message that says why an order of another account cannot be looked up, and what to do."""
    return (
        f"order {order.order_id} was sent with another API key, or to another API root: set these again, or "
        "resolve the order by hand"
    )


def text_changes(worker: Worker) -> frozenset[str]:
    """Return the changes that the vendor was seen to make to the account's texts: names of `TEXT_CHANGES`."""
    names = {of_account(f"echo {change}", worker): change for change in TEXT_CHANGES}
    return frozenset(map(names.__getitem__, worker.services.ledger.observations.recall(*names)))


def remember_changes(worker: Worker, sent: str, task: Task) -> None:
    """Remember the changes that the vendor made to the text of a task that is certainly ours."""
    echoed = task.input.get("prompt")
    changes = changes_between(sent, echoed) if isinstance(echoed, str) and echoed != sent else None
    new = changes - text_changes(worker) if changes else None
    if new:
        worker.services.ledger.observations.remember(
            {of_account(f"echo {change}", worker): 1 for change in new}
        )


async def read_account(worker: Worker) -> AccountInfo | None:
    """Read the account; return None when the vendor does not answer."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await worker.client.account()
    except (SeedanceError, TimeoutError):
        return None


async def remember_account(worker: Worker) -> None:
    """Read the account's limit and balance for all processes; without an answer nothing changes."""
    services = worker.services
    before = await in_thread(_entry_at_rest, worker)
    account = await read_account(worker)
    if account is None:
        return
    if account.max_concurrent_tasks is not None:
        await in_thread(services.ledger.observations.remember, {PLAN_LIMIT: account.max_concurrent_tasks})
    if account.points_remaining is not None:
        await in_thread(_pause_without_credits, services, account.points_remaining)
        await in_thread(_remember_balance, worker, account.points_remaining, before)


def _pause_without_credits(services: Services, points: int) -> None:
    needed = services.ledger.workload.cheapest_queued()
    if needed is None or points >= needed:
        services.ledger.pauses.end(CREDITS)
        return
    message = low_balance_message(points, needed)
    services.ledger.pauses.start(CREDITS, until=services.clock() + _CREDITS_PAUSE, message=message)


def _remember_balance(worker: Worker, points: int, before: int | None) -> None:
    """Remember the balance, unless a task may have been made or have ended unseen while it was read."""
    ledger = worker.services.ledger
    if before is None or _entry_at_rest(worker) != before:
        return
    names = {name: of_account(name, worker) for name in (BALANCE, BALANCE_OUTFLOW, _OUTFLOW_ENTRY)}
    known = ledger.observations.recall(*names.values())
    entry = known.get(names[_OUTFLOW_ENTRY])
    if entry is None or entry.value != before:  # sum up all orders only when something changed
        outflow = ledger.workload.flow(worker.client.account_name).outflow
        if _entry_at_rest(worker) != before:
            return
    else:
        outflow = known[names[BALANCE_OUTFLOW]].value
    values = {BALANCE: points, BALANCE_OUTFLOW: outflow, _OUTFLOW_ENTRY: before}
    ledger.observations.remember({names[name]: value for name, value in values.items()})


def _entry_at_rest(worker: Worker) -> int | None:
    """Return the number of the journal's newest entry; None while a task may be made or end unseen."""
    ledger = worker.services.ledger
    if ledger.workload.in_doubt(worker.client.account_name):
        return None
    newest = ledger.journal.position()
    return 0 if newest is None else newest.entry_id
