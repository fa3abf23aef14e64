"""`seedance-dagster demo`: renders sample prompts on this machine, without an account or questions."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from seedance_dagster.cli.environ import reference_definitions, sample_set, unconfigured
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.local.demo_set import write_demo_set
from seedance_dagster.cli.local.render import Rendering
from seedance_dagster.cli.local.stack import interrupted_by_signals, running_stack
from seedance_dagster.cli.local.state_dir import announced
from seedance_dagster.cli.local_state import ROOT
from seedance_dagster.counting import counted


@click.command("demo", epilog=examples("demo", "demo --exit"))
@click.option(
    "--exit", "leave", is_flag=True, help="Stop when all videos are stored, instead of keeping the UI open."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of Dagster's UI; by default any free one.")
def command(*, leave: bool, port: int | None) -> None:
    """Render a dozen sample prompts with a local stand-in for the vendor.

    Starts the emulator, an S3 server on a folder, Dagster and the gallery on free ports, launches the
    backfill that "Materialize all" in the UI launches, and lists the videos. Everything is deleted at the
    end.
    """
    definitions, sample, before = reference_definitions(), sample_set(), dict(os.environ)
    with interrupted_by_signals(), _temporary_folder() as folder:
        prompts, prices = write_demo_set(sample, folder)
        environ = unconfigured(os.environ)
        environ |= {"SEEDANCE_PROMPTS": str(prompts), "SEEDANCE_PRICES": str(prices)}
        click.echo(f"Starting the emulator, S3, Dagster and the gallery in {folder} ...")
        with running_stack(
            folder,
            environ,
            definitions=definitions,
            emulated=True,
            embedded_s3=True,
            ui_port=port,
        ) as stack:
            # boto3 reads the environment of this process.
            os.environ.clear()
            os.environ.update(stack.environ)
            rendering = Rendering(stack, prompts)
            missing = rendering.run()
            if leave and missing:
                raise click.ClickException(
                    f"{counted(len(missing), 'video is', 'videos are')} missing; "
                    f"the logs are in {folder / 'logs'}"
                )
            if leave:
                return
            with (
                announced(ROOT, before, stack.environ) as is_announced,
                contextlib.suppress(KeyboardInterrupt),
            ):
                click.echo(rendering.ways_to_watch(folder / "s3", with_commands=is_announced))
                click.echo("Press Ctrl-C to stop; everything is deleted then.")
                stack.wait()
            click.echo("Stopping ...")


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Make a folder and delete it at the end, unless the message of an error refers to the logs in it."""
    folder = Path(tempfile.mkdtemp(prefix="seedance-demo-"))
    try:
        yield folder
    except click.ClickException:
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
