"""`seedance-dagster cancel`: takes queued orders out of the queue before they are sent."""

from __future__ import annotations

import contextlib

import click

from seedance_dagster.cli.environ import ledger_settings, operator_name
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import check_ledger_is_known
from seedance_dagster.cli.output import console, print_json
from seedance_dagster.counting import counted
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.money import format_usd, points_to_usd


@click.command(
    "cancel", epilog=examples("cancel launch_spots/cat-garden", "cancel launch_spots", "cancel --all")
)
@click.argument("target", required=False, metavar="[SET[/PARTITION]]")
@click.option("--all", "everything", is_flag=True, help="Cancel the queued orders of all sets.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, target: str | None, everything: bool, as_json: bool) -> None:
    """Withdraw queued orders, which were not sent yet; their money is free for other orders again.

    Name a prompt set or a partition, or use --all. A task that is at the vendor cannot be cancelled. Orders
    that were withdrawn can be placed again. The exit status is 1 when nothing was queued.
    """
    if (target is None) is not everything:
        raise click.UsageError("name a prompt set or SET/PARTITION, or use --all for everything")
    prompt_set, slash, partition = (target or "").partition("/")
    if target is not None and not (prompt_set and (partition or not slash)):
        # Such as from a shell variable that is empty: it must not mean more than was named.
        raise click.UsageError(f"{target!r} names no prompt set or SET/PARTITION; --all cancels everything")
    settings = ledger_settings()
    with contextlib.closing(Ledger.open(settings.ledger_url)) as ledger:
        check_ledger_is_known(settings, ledger)
        cancelled = ledger.withdrawals.cancel(prompt_set or None, partition or None, actor=operator_name())
        known = {name for name, _ in ledger.workload.counts()} if not cancelled else {prompt_set}
    if target is not None and prompt_set not in known:
        names = ", ".join(sorted(known)) or "none"
        raise click.ClickException(
            f"nothing was ever ordered for prompt set {prompt_set}; known sets: {names}"
        )
    freed = points_to_usd(sum(order.reserved_points for order in cancelled))
    if as_json:
        orders = [
            {
                "order_id": order.order_id,
                "prompt_set": order.prompt_set,
                "partition": order.partition,
                "usd": points_to_usd(order.reserved_points),
            }
            for order in cancelled
        ]
        print_json({"withdrawn": orders, "freed_usd": freed})
    else:
        out = console()
        for order in cancelled:
            out.print(f"Withdrawn  {order.prompt_set}/{order.partition}", markup=False)
        withdrawn = counted(len(cancelled), "order was", "orders were")
        done = f"{withdrawn} withdrawn, {format_usd(freed)} USD are free again"
        out.print(
            done if cancelled else f"nothing is queued{f' for {target}' if target else ''}", markup=False
        )
    click.get_current_context().exit(0 if cancelled else 1)
