"""The group of all commands: imports a command when it runs, and shows errors as messages."""

from __future__ import annotations

import errno
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from seedance_dagster.net.secrets import without_secrets

COMMANDS = {
    "demo": "Render sample prompts from start to finish, without an account.",
    "dev": "Run Dagster on your own prompt sets; data is kept in .seedance/.",
    "plan": "Show what prompt sets would cost, without ordering anything.",
    "status": "Show what is ordered, stored, outstanding and spent.",
    "spend": "Show spending by day, month, set, model, tag or run.",
    "open": "Show a stored video in the browser.",
    "download": "Download stored videos into a folder.",
    "gallery": "Show stored videos in a browser, and take verdicts on them.",
    "search": "Find prompts and videos by words.",
    "review": "Accept or discard stored videos, list the verdicts, and compare variants.",
    "export": "Write the accepted videos of a set as a dataset.",
    "trace": "Show where a video comes from and what became of it.",
    "audit": "Compare ledger, vendor, Dagster and S3, and repair differences.",
    "restore": "Bring up to date a ledger that is a backup, or that replaces a lost one.",
    "move-ledger": "Move the ledger to another database, such as PostgreSQL, with its id.",
    "archive": "Move the journal of orders that ended long ago into the bucket.",
    "credential": "Read content credentials; make a test certificate chain.",
    "cancel": "Withdraw queued orders before they are sent.",
    "reconcile": "Resolve orders whose reply was lost.",
    "sync": "Update Dagster's partitions from the prompt sets now.",
    "webhook": "Receive the vendor's webhooks, so that finished tasks are polled at once.",
    "prices": "Show the prices of today, and whether charges agree with them.",
    "check-storage": "Try all that the bucket must allow, before anything is paid for.",
    "account": "Show the vendor account: plan, balance and limits.",
    "emulator": "Run a local stand-in for the vendor's API.",
}
"""Every command with its line in the overview, in the order of the overview."""


class Commands(click.Group):
    """A group that imports a command's module only when the command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return all names, without importing anything."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command in `cli/commands/<name>.py`, its dashes as underscores."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = cmd_name.replace("-", "_")
        command: click.Command = import_module(f"seedance_dagster.cli.commands.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the overview, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors of this package are messages for users, so they are shown as such."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            message = without_secrets(str(error))
            package = type(error).__module__.partition(".")[0]
            if package == "seedance_dagster":
                raise click.ClickException(message) from None
            if package == "botocore":
                # Such as a profile that does not exist.
                raise click.ClickException(f"S3 cannot be used: {message}") from None
            if package == "sqlite3" or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
                # Databases of its own are temporary; a full disk seldom says which one it is.
                advice = "make room where the command writes, and in the temporary folder (TMPDIR)"
                raise click.ClickException(f"{message}: {advice}") from None
            if isinstance(error, OSError):
                raise click.ClickException(message) from None
            raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seedance-dagster")
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take environment variables from a file of NAME=value lines, such as .seedance/live/env.",
)
def root(*, env_file: Path | None) -> None:
    """Generate videos with Seedance 2 as Dagster assets."""
    if env_file is not None:
        from seedance_dagster.cli.environ import use_env_file  # noqa: PLC0415  --help needs no import

        use_env_file(env_file)
    from stamina import instrumentation  # noqa: PLC0415  --help needs no import

    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        click.get_current_context().color = False  # as rich does; click has no such rule
    # With Dagster's structlog it would print retries on standard output, among a command's JSON.
    instrumentation.set_on_retry_hooks([])
