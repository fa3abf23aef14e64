"""`seedance-dagster open`: shows a stored video in the browser."""

from __future__ import annotations

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.videos import videos_of

_LIVES_S = 3600


@click.command(
    "open",
    epilog=examples(
        "open launch_spots cat-garden",
    ),
)
@click.argument("prompt_set", metavar="SET")
@click.argument("partition", metavar="PARTITION")
@click.option("--print", "only_print", is_flag=True, help="Print the link, and open no browser.")
def command(*, prompt_set: str, partition: str, only_print: bool) -> None:
    """Show the video of a partition in the browser, by a link that works for an hour.

    Whoever has the link can watch the video until then.
    """
    with ledger_settings().services() as services:
        videos = videos_of(services, prompt_set, [partition])
        if partition not in videos:
            raise click.ClickException(
                f"{prompt_set}: {partition} has no video; `seedance-dagster status` says what is outstanding"
            )
        url = videos[partition].presigned_url(expires_s=_LIVES_S)
    if only_print or click.launch(url) != 0:
        click.echo(url)
