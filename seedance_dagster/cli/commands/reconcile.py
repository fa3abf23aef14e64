"""`seedance-dagster reconcile`: settle orders whose reply was lost, by the vendor's history or by hand."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import replace
from typing import Any

import click
from rich.markup import escape

from seedance_dagster.cli.environ import ledger_environ
from seedance_dagster.cli.output import console, print_json, table
from seedance_dagster.engine.reconcile.manual import adopt_by_hand, requeue_by_hand
from seedance_dagster.engine.reconcile.reconcile import ReconcileResult, reconcile
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import Worker, worker_name, working
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.settings import Settings
from seedance_dagster.threads import in_thread


@click.command("reconcile")
@click.argument("order", required=False, metavar="[ORDER]")
@click.option("--adopt", "task_id", metavar="TASK_ID", help="This task of the vendor's is the order's.")
@click.option("--release", is_flag=True, help="No task was made for the order: it may be sent again.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, order: str | None, task_id: str | None, release: bool, as_json: bool) -> None:
    """Look for the tasks of uncertain orders in the vendor's history now; the sensor does the same.

    An order is adopted when its task is found, and freed when two clean readings a grace period apart do not
    have it. To settle one by hand, name it (its number or SET/PARTITION) with --adopt or --release; releasing
    an order that has a task after all pays twice. Ends with status 1 while an order is uncertain.
    """
    by_hand = task_id is not None or release
    if by_hand and (order is None or (task_id is not None and release)):
        raise click.UsageError("name one ORDER with either --adopt TASK_ID or --release")
    if task_id is not None and not task_id.strip():
        raise click.UsageError("--adopt needs the vendor's task id")
    if order is not None and not by_hand:
        raise click.UsageError("say what is to become of the order: --adopt TASK_ID or --release")
    with Settings.from_environ(ledger_environ()).services() as services:
        if order is None:
            settled = asyncio.run(_look(services))
        else:
            chosen = _chosen(services.ledger, order)
            settled = asyncio.run(_by_hand(services, chosen, task_id))
        uncertain = tuple(services.ledger.queries.find(states={State.UNCERTAIN}))
    settled = replace(settled, uncertain=uncertain)
    if as_json:
        print_json({name: [_as_json(each) for each in getattr(settled, name)] for name in _OUTCOMES})
    else:
        _show(settled)
    click.get_current_context().exit(1 if uncertain else 0)


_NO_ID = 2**63  # more than a database numbers
_OUTCOMES = {
    "adopted": "its task was found, its video will be collected",
    "freed": "no task was made, it may be sent again",
    "uncertain": "",
}


async def _look(services: Services) -> ReconcileResult:
    async with working(services, worker_name("reconcile")) as worker:
        await in_thread(services.ledger.claims.expire, actor=worker.name)
        return await reconcile(worker, now=True)


async def _by_hand(services: Services, order: Order, task_id: str | None) -> ReconcileResult:
    async with working(services, worker_name(_person())) as worker:
        return await _settle(worker, order, task_id)


async def _settle(worker: Worker, order: Order, task_id: str | None) -> ReconcileResult:
    if task_id is None:
        return ReconcileResult(freed=(await requeue_by_hand(worker, order),))
    return ReconcileResult(adopted=(await adopt_by_hand(worker, order, task_id.strip()),))


def _person() -> str:
    try:
        return f"operator {getpass.getuser()}"
    except (OSError, KeyError):  # a container's user may have no name
        return "operator"


def _chosen(ledger: Ledger, name: str) -> Order:
    """The order of that number, or the newest uncertain one of a partition."""
    if name.isdecimal():
        found = ledger.queries.get_many([int(name)]) if int(name) < _NO_ID else []
    else:
        prompt_set, _, partition = name.partition("/")
        orders = ledger.queries.find(prompt_set=prompt_set, states={State.UNCERTAIN})
        found = [each for each in orders if each.partition == partition][-1:]
    if not found:
        waiting = ledger.queries.find(states={State.UNCERTAIN})
        known = ", ".join(f"{each.order_id} ({each.prompt_set}/{each.partition})" for each in waiting[:10])
        raise click.ClickException(f"there is no uncertain order {name}; uncertain are: {known or 'none'}")
    return found[0]


def _show(settled: ReconcileResult) -> None:
    told = console()
    if not any(getattr(settled, name) for name in _OUTCOMES):
        told.print("No order is uncertain")
        return
    rows = table("Uncertain orders", ("Order", "Prompt", "Became", "Task", "Why"), numbers=("Order",))
    for name, meaning in _OUTCOMES.items():
        for each in getattr(settled, name):
            where = f"{each.prompt_set}/{each.partition}"
            why = meaning or each.error_message or ""
            rows.add_row(*map(escape, (str(each.order_id), where, name, each.task_id or "", why)))
    told.print(rows)


def _as_json(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "prompt_set": order.prompt_set,
        "partition": order.partition,
        "task_id": order.task_id,
        "absent_since": order.absent_since,
        "reason": order.error_message,
    }
