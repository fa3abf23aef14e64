"""`seedance-dagster reconcile`: resolves orders whose reply was lost, by the history or manually."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click

from seedance_dagster.cli.environ import ledger_settings, operator_name
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import check_ledger_is_known
from seedance_dagster.cli.output import console, print_json, table
from seedance_dagster.engine.reconcile.ending import end_by_hand, may_be_ended
from seedance_dagster.engine.reconcile.manual import adopt_by_hand, requeue_by_hand
from seedance_dagster.engine.reconcile.reconcile import ReconcileResult, reconcile
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import worker_name, working
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.money import usd_text, usd_to_points
from seedance_dagster.threads import in_thread

_ID_LIMIT = 2**63  # order ids are smaller
_MEANINGS = {
    "adopted": "its task was found; its video will be fetched",
    "requeued": "no task was created; it may be sent again",
}
_SHOWN = 10


@click.command(
    "reconcile",
    epilog=examples(
        "reconcile",
        "reconcile launch_spots/cat-garden --requeue",
        "reconcile 17 --end --charged 0.32",
    ),
)
@click.argument("order", required=False, metavar="[ORDER]")
@click.option("--adopt", "task_id", metavar="TASK_ID", help="Give ORDER this task of the vendor's.")
@click.option("--requeue", is_flag=True, help="Send ORDER again: the vendor has no task for it.")
@click.option("--end", "ending", is_flag=True, help="Give ORDER up, and wait for it no longer.")
@click.option("--charged", metavar="USD", help="With --end: its cost; by default the charge, else the hold.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(
    *,
    order: str | None,
    task_id: str | None,
    requeue: bool,
    ending: bool,
    charged: str | None,
    as_json: bool,
) -> None:
    """Look up uncertain orders in the vendor's task history now; the sensor does the same.

    An order adopts its task when the history has it. It is requeued when the history was read twice, a grace
    period apart, without it. To resolve an order manually, name its number or SET/PARTITION with --adopt
    or --requeue. Requeuing an order that does have a task pays twice.

    --end gives up an order that nothing else ends: uncertain forever, a task that the vendor does not show,
    a video that is gone; or it books a charge that the vendor never reported. The money counts as spent, and
    a video that its task makes is not fetched. The exit status is 1 while an order is uncertain.
    """
    ways = (task_id is not None, requeue, ending)
    manual = any(ways)
    if manual and (order is None or sum(ways) > 1):
        raise click.UsageError("name one ORDER, with one of --adopt TASK_ID, --requeue or --end")
    points = _charge(charged, ending=ending)
    if task_id is not None and not task_id.strip():
        raise click.UsageError("--adopt needs a task id of the vendor's")
    if order is not None and not manual:
        raise click.UsageError("say how to resolve the order: --adopt TASK_ID, --requeue or --end")
    settings = ledger_settings()
    with settings.services() as services:
        check_ledger_is_known(settings, services.ledger)
        if order is None:
            result = asyncio.run(_look_up(services))
        else:
            chosen = _find_order(services.ledger, order, ending=ending)
            result = asyncio.run(_resolve(services, chosen, task_id, ending=ending, points=points))
        uncertain = tuple(services.ledger.queries.find(states={State.UNCERTAIN}))
    outcomes = {
        "adopted": result.adopted,
        "requeued": result.requeued,
        "ended": result.ended,
        "uncertain": uncertain,
    }
    if as_json:
        print_json({outcome: list(map(_as_json, orders)) for outcome, orders in outcomes.items()})
    else:
        _show(outcomes)
    click.get_current_context().exit(1 if uncertain else 0)


async def _look_up(services: Services) -> ReconcileResult:
    async with working(services, worker_name("reconcile")) as worker:
        await in_thread(services.ledger.claims.expire, actor=worker.name)
        return await reconcile(worker, now=True)


async def _resolve(
    services: Services, order: Order, task_id: str | None, *, ending: bool, points: int | None
) -> ReconcileResult:
    async with working(services, worker_name(operator_name())) as worker:
        if ending:
            return ReconcileResult(ended=(await end_by_hand(worker, order, charged_points=points),))
        if task_id is None:
            return ReconcileResult(requeued=(await requeue_by_hand(worker, order),))
        return ReconcileResult(adopted=(await adopt_by_hand(worker, order, task_id.strip()),))


def _charge(usd: str | None, *, ending: bool) -> int | None:
    if usd is None:
        return None
    if not ending:
        raise click.UsageError("--charged USD goes with --end")
    try:
        points = usd_to_points(usd)
    except ValueError as error:
        raise click.UsageError(f"--charged: {error}; allowed are amounts such as 0.25") from None
    if points < 0:
        raise click.UsageError("--charged: an order cannot cost less than 0 USD")
    return points


def _find_order(ledger: Ledger, name: str, *, ending: bool) -> Order:
    """Return the order with a number, or the newest of a partition that is uncertain, or may be ended."""
    if name.isdecimal():
        orders = ledger.queries.get_many([int(name)]) if int(name) < _ID_LIMIT else []
    else:
        prompt_set, _, partition = name.partition("/")
        orders = [
            order
            for order in ledger.queries.of_partition(prompt_set, partition)
            if (may_be_ended(order) if ending else order.state is State.UNCERTAIN)
        ][-1:]
    if not orders and ending:
        raise click.ClickException(f"there is no order {name} that could be ended: see `status`")
    if not orders:
        uncertain = ledger.queries.find(states={State.UNCERTAIN})[:_SHOWN]
        known = ", ".join(f"{order.order_id} ({order.prompt_set}/{order.partition})" for order in uncertain)
        raise click.ClickException(f"there is no uncertain order {name}; uncertain orders: {known or 'none'}")
    return orders[0]


def _show(outcomes: Mapping[str, Sequence[Order]]) -> None:
    out = console()
    if not any(outcomes.values()):
        out.print("No order is uncertain")
        return
    rows = table("Orders", ("Order", "Prompt", "Result", "Task", "Reason"), numbers=("Order",))
    for outcome, orders in outcomes.items():
        for order in orders:
            prompt = f"{order.prompt_set}/{order.partition}"
            reason = _meaning(outcome, order)
            rows.add_row(str(order.order_id), prompt, outcome, order.task_id or "", reason)
    out.print(rows)


def _meaning(outcome: str, order: Order) -> str:
    if outcome == "ended":
        again = "; to pay again, set resubmit_rejected in a run's config" if order.points_charged else ""
        return f"{usd_text(order.points_charged or 0)} count as spent{again}"
    return _MEANINGS.get(outcome) or order.error_message or ""


def _as_json(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "prompt_set": order.prompt_set,
        "partition": order.partition,
        "task_id": order.task_id,
        "absent_since": order.absent_since,
        "reason": order.error_message,
    }
