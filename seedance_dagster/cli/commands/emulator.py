"""`seedance-dagster emulator`: runs a local stand-in for the vendor's API."""

from __future__ import annotations

from importlib import import_module

import click

try:
    command: click.Command = import_module("seedance_dagster.emulator.command").main
except ModuleNotFoundError as error:
    raise click.ClickException(
        f"the emulator needs {error.name}; run pip install 'seedance-dagster[demo]'"
    ) from None
