"""`python -m seedance_dagster.emulator`: the emulator from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from seedance_dagster.emulator.journal import StateError
from seedance_dagster.emulator.server import LOOPBACK, AddressError, serve
from seedance_dagster.emulator.settings import EmulatorSettings, SettingsError


@click.command("emulator")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port of the API; 0 takes a free one.")
@click.option("--files-port", default=0, show_default=True, help="Port of the file host; 0 takes a free one.")
@click.option("--api-key", help="The only key that is accepted.")
@click.option("--render-seconds", type=float, help="How long a task is processing.")
@click.option("--plan-limit", type=int, help="Active tasks that the plan allows.")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Folder that keeps tasks over a restart.")
@click.option(
    "--set", "other", multiple=True, metavar="NAME=VALUE", help="Any other setting, see docs/emulator.md."
)
def main(host: str, port: int, files_port: int, other: tuple[str, ...], **named: Any) -> None:
    """Run a local Seedance service that behaves as the vendor does."""
    values = {name: value for name, value in named.items() if value is not None}
    for pair in other:
        name, sign, value = pair.partition("=")
        if not sign:
            raise click.UsageError(f"--set {pair}: write it as NAME=VALUE")
        values[name] = value
    try:
        serve(EmulatorSettings.checked(values), host, port, files_port=files_port, say=click.echo)
    except (SettingsError, StateError, AddressError) as error:
        raise click.ClickException(str(error)) from None
