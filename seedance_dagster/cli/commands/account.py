"""`seedance-dagster account`: plan, balance and limits, as the vendor tells them."""

from __future__ import annotations

import asyncio

import click

from seedance_dagster.api.wire import AccountInfo
from seedance_dagster.cli.environ import project_environ
from seedance_dagster.cli.output import console, print_json, usd
from seedance_dagster.money import points_to_usd
from seedance_dagster.settings import Settings


@click.command("account")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, as_json: bool) -> None:
    """Show the account at the vendor; it also tells whether the API key is accepted."""
    environment = Settings.from_environ(project_environ())

    async def ask() -> AccountInfo:
        async with environment.open_client() as client:
            return await client.account()

    found = asyncio.run(ask())
    points = found.points_remaining
    balance = None if points is None else points_to_usd(points)
    if as_json:
        print_json({**found.model_dump(mode="json"), "usd_remaining": balance})
        return
    told = console()
    told.print(f"Plan      {found.plan or 'not told'}", markup=False)
    worth = found.equivalent_usd or "not told" if balance is None else usd(balance)
    told.print(f"Balance   {worth} USD", markup=False)
    told.print(f"At once   {found.max_concurrent_tasks or 'not told'} tasks")
