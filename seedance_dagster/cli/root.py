"""The group of all commands: finds a command's file when it is asked for, and words errors for people."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

COMMANDS = {
    "demo": "Show the whole thing at work: no account, no cloud.",
    "dev": "Run it on your own prompt sets, everything kept in .seedance/.",
    "plan": "Show what a prompt set would cost, without sending anything.",
    "status": "Show what is ordered, stored, outstanding and spent.",
    "spend": "Show where the money went: by day, month, set, model, tag or run.",
    "trace": "Show where a video comes from and what became of it: the whole chain.",
    "audit": "Compare ledger, vendor, Dagster and S3, name every difference, and mend what can be.",
    "credential": "Read a video's content credential, or make a test certificate chain.",
    "reconcile": "Settle orders whose reply was lost, by the vendor's history or by hand.",
    "sync": "Make Dagster's partitions match the prompt sets now.",
    "account": "Show the account at the vendor.",
    "emulator": "Run a local service that behaves as the vendor does.",
}
"""Every command with its line in the overview, in the order in which they are shown."""


class Commands(click.Group):
    """Imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """All names, without importing anything."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command in `cli/commands/<name>.py`."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(f"seedance_dagster.cli.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """The overview, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run; the package's own errors are worded for people, so they need no traceback."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            room = type(error).__module__.partition(".")[0]
            if room == "seedance_dagster":
                raise click.ClickException(str(error)) from None
            if room == "botocore":
                # Such as a profile that does not exist; boto's texts name settings, never keys.
                raise click.ClickException(f"S3 cannot be used: {error}") from None
            raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seedance-dagster")
def root() -> None:
    """Seedance 2 video generation as Dagster assets."""
    from stamina import instrumentation  # noqa: PLC0415  help needs no import

    # Beside Dagster's structlog it would tell retries on standard output, where a command's JSON goes.
    instrumentation.set_on_retry_hooks([])
