"""`seedance-dagster dev`: Dagster on the user's own prompt sets, everything kept in one folder."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from seedance_dagster.cli.environ import project_environ, reference_definitions
from seedance_dagster.cli.local.stack import interrupted_by_signals, running_stack
from seedance_dagster.cli.local.state_dir import StateDir
from seedance_dagster.prompts import format_problems, load_prompt_sets
from seedance_dagster.settings import Settings

FOLDER = Path(".seedance")


@click.command("dev")
def command() -> None:
    """Run Dagster on your prompt sets (SEEDANCE_PROMPTS, else prompt_sets/).

    With GOAPI_API_KEY the real service is used, without it the emulator; with SEEDANCE_S3_BUCKET your bucket,
    without it a local folder. Ledger, Dagster's history and local videos are kept in .seedance/, apart for
    the emulator and the real service. Stop it with Ctrl-C; the next start goes on where it was.
    """
    found = project_environ()
    place = StateDir.for_environ(FOLDER, found)
    Settings.from_environ(place.environ)  # what cannot be used is named before anything starts
    definitions = reference_definitions()
    with interrupted_by_signals(), place.locked():
        click.echo(place.summary())
        _tell_problems(place.environ["SEEDANCE_PROMPTS"])
        place.settle_interrupted_runs()
        with running_stack(
            place.folder,
            place.environ,
            definitions=definitions,
            emulated=place.emulated,
            embedded_s3=place.embedded_s3,
        ) as stack:
            place.remember_environ(found, stack.environ)
            click.echo(f"Dagster's UI is at {stack.dagster.url} until you press Ctrl-C.")
            click.echo(f"For other commands, in another terminal:  . {place.env_file}")
            with contextlib.suppress(KeyboardInterrupt):
                stack.wait()
            click.echo("Stopping; tasks at the vendor go on and are picked up at the next start.")


def _tell_problems(prompts: str) -> None:
    loaded = load_prompt_sets(prompts)
    if loaded.problems:
        click.echo(format_problems(loaded.problems), err=True)
    if not loaded.sets:
        raise click.ClickException(
            "there is no prompt set to work on: write one into prompt_sets/, or set SEEDANCE_PROMPTS"
        )
