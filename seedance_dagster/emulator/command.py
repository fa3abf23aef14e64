"""The command line of the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from seedance_dagster.emulator.server import LOOPBACK, AddressError, serve
from seedance_dagster.emulator.state_file import StateError
from seedance_dagster.emulator.vendor_settings import EmulatorSettings, SettingsError

_DEFAULTS = EmulatorSettings()


@click.command(
    "emulator",
    # \b keeps click from joining the lines.
    epilog="\b\nExamples:\n"
    "  seedance-dagster emulator --port 8585\n"
    "  seedance-dagster emulator --render-seconds 5 --set jitter=0",
)
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port of the API; 0 takes a free one.",
)
@click.option(
    "--files-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port of the file host; 0 takes a free one.",
)
@click.option("--api-key", show_default=_DEFAULTS.api_key.get_secret_value(), help="The only valid key.")
@click.option(
    "--render-seconds",
    type=float,
    show_default=f"{_DEFAULTS.render_seconds:g}",
    help="Seconds that a task is processing.",
)
@click.option(
    "--plan-limit",
    type=int,
    show_default=str(_DEFAULTS.plan_limit),
    help="Number of active tasks that the plan allows.",
)
@click.option("--state-dir", type=click.Path(path_type=Path), help="Folder that keeps tasks across restarts.")
@click.option(
    "--set", "pairs", multiple=True, metavar="NAME=VALUE", help="Any other setting, see docs/emulator.md."
)
def main(host: str, port: int, files_port: int, pairs: tuple[str, ...], **options: Any) -> None:
    """Run a local Seedance service that behaves like the vendor's."""
    values = {name: value for name, value in options.items() if value is not None}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise click.UsageError(f"--set is {pair!r}; allowed is NAME=VALUE")
        values[name] = value
    try:
        serve(EmulatorSettings.from_values(values), host, port, files_port=files_port)
    except (SettingsError, StateError, AddressError) as error:
        raise click.ClickException(str(error)) from None
