"""`seedance-dagster trace`: shows where a thing comes from and what became of it, in one tree."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import console, print_json
from seedance_dagster.cli.trace_tree import draw
from seedance_dagster.engine.journals import JournalReader
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.settings import Settings
from seedance_dagster.trace.chain import Trace, read_trace
from seedance_dagster.trace.origin import NotTraceableError, find_origin

if TYPE_CHECKING:
    from seedance_dagster.storage.s3 import VideoStore

_UNCUT = 100_000  # columns; a line in a file is never wrapped or cut
_S3_TIMEOUT_S = 3  # a trace is useful without S3


@click.command(
    "trace",
    epilog=examples(
        "trace launch_spots/cat-garden",
        "trace s3://videos/seedance/launch_spots/cat-garden/0a1b2c3d4e5f-a1/video.mp4",
        "trace ~/Downloads/clip.mp4",
    ),
)
@click.argument("target", metavar="THING")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, target: str, as_json: bool) -> None:
    """Show where THING comes from: its prompt, requests, orders, tasks, files and reports to Dagster.

    THING is the s3:// URI of a video, its poster or its manifest, a task id, SET/PARTITION, the sha256 of a
    video, or an mp4 on this machine under any name. Earlier requests and attempts, and orders in flight, are
    shown too. The exit status is 1 when the ledger knows nothing about it.
    """
    settings = ledger_settings()
    with contextlib.closing(Ledger.open(settings.ledger_url)) as ledger:
        try:
            origin = find_origin(ledger, target, bucket=settings.bucket)
        except NotTraceableError as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            raise click.UsageError(f"{target} cannot be read: {error.strerror}") from None
        reader = JournalReader(ledger, partial(_open_store, settings))
        trace = _with_sizes(read_trace(ledger, reader, origin, bucket=settings.bucket), settings)
    if as_json:
        print_json(trace.as_json())
    else:
        console(width=_UNCUT).print(draw(trace))


def _with_sizes(trace: Trace, settings: Settings) -> Trace:
    """Return the trace with the sizes of its files in S3, or with a note that says why they are unknown."""
    if not any(traced.files for partition in trace.partitions for traced in partition.orders):
        return trace
    if not settings.bucket:
        return _with_note(trace, "S3 was not checked: SEEDANCE_S3_BUCKET is not set")
    from seedance_dagster.storage.errors import StoreError  # noqa: PLC0415  slow to import, and not always needed

    try:
        return replace(trace, sizes=_sizes(_open_store(settings), trace))
    except StoreError as error:
        return _with_note(trace, f"S3 could not be checked: {error}")


def _with_note(trace: Trace, note: str) -> Trace:
    return replace(trace, origin=replace(trace.origin, notes=(*trace.origin.notes, note)))


def _open_store(settings: Settings) -> VideoStore:
    import boto3  # noqa: PLC0415  slow to import
    from botocore.config import Config  # noqa: PLC0415  slow to import

    from seedance_dagster.storage.clients import create_client  # noqa: PLC0415  slow to import
    from seedance_dagster.storage.s3 import VideoStore  # noqa: PLC0415  slow to import

    config = Config(
        connect_timeout=_S3_TIMEOUT_S, read_timeout=_S3_TIMEOUT_S, retries={"total_max_attempts": 1}
    )
    client = create_client(lambda: boto3.Session().client("s3", config=config))
    return VideoStore(client, settings.bucket, settings.prefix, settings.request_options())


def _sizes(store: VideoStore, trace: Trace) -> dict[str, int | None]:
    sizes: dict[str, int | None] = {}
    for partition in trace.partitions:
        keys = [file.key for traced in partition.orders for file in traced.files]
        if not keys:
            continue
        name = f"{partition.prompt_set}/{partition.partition}"
        listing = store.listing(name)  # one request for all attempts
        folder = "/".join(part for part in (store.prefix.strip("/"), name) if part) + "/"
        for key in keys:
            # A file under an earlier prefix is looked up by its key.
            info = listing.get(key) if key.startswith(folder) else store.head(key)
            sizes[key] = None if info is None else info.size_bytes
    return sizes
