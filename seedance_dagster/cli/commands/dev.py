"""`seedance-dagster dev`: runs Dagster on the user's own prompt sets, with all data in one folder."""

from __future__ import annotations

import contextlib

import click

from seedance_dagster.cli.environ import project_environ, reference_definitions, warn_of_misspelled
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.local.stack import interrupted_by_signals, running_stack
from seedance_dagster.cli.local.state_dir import StateDir
from seedance_dagster.cli.local_state import ROOT
from seedance_dagster.prompts import format_problems, load_prompt_sets
from seedance_dagster.settings import Settings


@click.command("dev", epilog=examples("dev", "dev --port 3000"))
@click.option("--port", type=click.IntRange(1, 65535), help="Port of Dagster's UI; by default any free one.")
def command(*, port: int | None) -> None:
    """Run Dagster on your prompt sets (SEEDANCE_PROMPTS, by default prompt_sets/).

    With GOAPI_API_KEY the real API is used, without it the emulator; with SEEDANCE_S3_BUCKET your bucket,
    without it a local folder. The ledger, Dagster's history and local videos are kept in .seedance/, in one
    folder for the emulator and another for the real API. Press Ctrl-C to stop; the next start continues.
    """
    environ = project_environ()
    warn_of_misspelled(environ)
    state = StateDir.for_environ(ROOT, environ)
    Settings.from_environ(state.environ)  # reports a bad setting before anything starts
    definitions = reference_definitions()
    with interrupted_by_signals(), state.locked():
        click.echo(state.summary())
        _show_problems(state.environ["SEEDANCE_PROMPTS"], state.environ.get("SEEDANCE_PRICES", ""))
        state.fail_interrupted_runs()
        with running_stack(
            state.folder,
            state.environ,
            definitions=definitions,
            emulated=state.emulated,
            embedded_s3=state.embedded_s3,
            ui_port=port,
        ) as stack:
            state.write_env_file(environ, stack.environ)
            click.echo(f"The gallery is at {stack.gallery.url}")
            click.echo(f"Dagster's UI is at {stack.dagster.url}. Press Ctrl-C to stop.")
            click.echo("Other commands find it from this folder, such as `seedance-dagster status`.")
            with contextlib.suppress(KeyboardInterrupt):
                stack.wait()
            click.echo("Stopping. Tasks at the vendor continue; the next start picks them up.")


def _show_problems(prompts: str, prices: str) -> None:
    loaded = load_prompt_sets(prompts, prices=prices)
    if loaded.problems:
        click.echo(format_problems(loaded.problems), err=True)
    if not loaded.sets:
        raise click.ClickException(
            f"no usable prompt set in {prompts}: write one into prompt_sets/, or set SEEDANCE_PROMPTS"
        )
