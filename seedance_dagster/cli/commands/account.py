"""`seedance-dagster account`: shows plan, balance and limits of the vendor account."""

from __future__ import annotations

import asyncio

import click

from seedance_dagster.api.account import AccountInfo
from seedance_dagster.cli.environ import command_environ
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import console, print_json
from seedance_dagster.money import format_usd, points_to_usd
from seedance_dagster.settings import Settings


@click.command("account", epilog=examples("account", "account --json"))
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, as_json: bool) -> None:
    """Show plan, balance and limits of the vendor account; this also checks the API key."""
    settings = Settings.from_environ(command_environ())

    async def request() -> AccountInfo:
        async with settings.open_client() as client:
            return await client.account()

    account = asyncio.run(request())
    points = account.points_remaining
    balance = None if points is None else points_to_usd(points)
    if as_json:
        print_json({**account.model_dump(mode="json"), "usd_remaining": balance})
        return
    out = console()
    out.print(f"Plan         {account.plan or 'unknown'}", markup=False)
    balance_text = (
        f"unknown (the answer has {account.names}, and no balance in a known form)"
        if balance is None
        else f"{format_usd(balance)} USD (from {account.balance_source})"
    )
    out.print(f"Balance      {balance_text}", markup=False)
    out.print(f"Concurrency  {account.max_concurrent_tasks or 'unknown'} tasks")
