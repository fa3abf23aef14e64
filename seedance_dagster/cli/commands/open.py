"""`seedance-dagster open`: shows a stored video in the browser."""

from __future__ import annotations

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.videos import videos_of
from seedance_dagster.engine.services import Services
from seedance_dagster.storage.reference_objects import presigned_link

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
        url = _link(services, prompt_set, partition)
    if only_print or click.launch(url) != 0:
        click.echo(url)


def _link(services: Services, prompt_set: str, partition: str) -> str:
    """Return a link to the video of a partition, or to its preview if there is one."""
    [video] = services.ledger.videos.current(prompt_set, partition)
    key, store = video.order.preview_key or str(video.order.video_key), services.store
    return presigned_link(store.client, store.bucket, key, expires_s=_LIVES_S)
