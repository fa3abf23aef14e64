"""`seedance-dagster download`: copies stored videos from S3 into a folder."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import print_json
from seedance_dagster.cli.videos import videos_of
from seedance_dagster.datasets.video import Video
from seedance_dagster.net.s3_locations import LocationError, s3_location
from seedance_dagster.storage.errors import StoreError


@click.command(
    "download",
    epilog=examples(
        "download launch_spots cat-garden cat-garden.t2 ~/Videos", "download launch_spots ~/Videos"
    ),
)
@click.argument("prompt_set", metavar="SET")
@click.argument("partitions", metavar="[PARTITION]...", nargs=-1)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, prompt_set: str, partitions: Sequence[str], folder: Path, as_json: bool) -> None:
    """Download the videos of a prompt set, or of some of its partitions, into DIR.

    Each becomes DIR/PARTITION.mp4, and its SHA-256 is checked. A file that is there already is not downloaded
    again, and a different one of that name is never overwritten. The exit status is 1 when a partition has no
    video or a file could not be written.
    """
    _check_is_path(folder)
    with ledger_settings().services() as services:
        videos = videos_of(services, prompt_set, partitions)
        if str(folder) in videos and not (partitions or folder.exists()):
            raise click.UsageError(
                f"{folder} is a partition of {prompt_set}: name the folder as well, as in `seedance-dagster "
                f"download {prompt_set} {folder} DIR`. If you mean a folder of this name, make it first"
            )
        missing = [key for key in partitions if key not in videos]
        folder.mkdir(parents=True, exist_ok=True)
        outcomes: dict[str, _Outcome] = {}
        with click.progressbar(
            videos.values(), label="Downloading", file=sys.stderr, hidden=as_json
        ) as progress:
            for video in progress:
                outcomes[video.partition] = _download(video, folder / f"{video.partition}.mp4")
    if as_json:
        print_json({"files": {key: outcome.text for key, outcome in outcomes.items()}, "missing": missing})
    else:
        for key, outcome in outcomes.items():
            click.echo(f"{folder / key}.mp4 {outcome.text}")
        for key in missing:
            click.echo(f"{prompt_set}: {key} has no video", err=True)
    complete = not missing and all(outcome.is_there for outcome in outcomes.values())
    click.get_current_context().exit(0 if complete else 1)


class _Outcome(NamedTuple):
    """The outcome of a download, as a verb phrase, and whether the file holds the video now."""

    text: str
    is_there: bool


def _check_is_path(folder: Path) -> None:
    try:
        s3_location(str(folder))  # Path makes s3:// into s3:/, which is refused as a mistyped address
    except LocationError:
        raise click.BadParameter(
            f"{folder} is an address; allowed is a folder on this machine, and `seedance-dagster export` "
            "writes to S3",
            param_hint="DIR",
        ) from None


def _download(video: Video, path: Path) -> _Outcome:
    """Write a video to a file."""
    try:
        if path.exists():
            with path.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == video.sha256
            if same:
                return _Outcome("is there already", is_there=True)
            return _Outcome("was not written: another file of this name is there", is_there=False)
        with tempfile.TemporaryDirectory(prefix=".seedance-", dir=path.parent) as folder:
            part = Path(folder) / path.name
            video.download(part)
            part.rename(path)
    except OSError as error:
        return _Outcome(f"was not written: {error.strerror}", is_there=False)
    except StoreError as error:
        return _Outcome(f"was not written: {error}", is_there=False)
    return _Outcome("is written", is_there=True)
