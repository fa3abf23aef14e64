"""`seedance-dagster trace`: where a thing comes from and what became of it, in one tree."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from seedance_dagster.cli.environ import ledger_environ
from seedance_dagster.cli.output import console, print_json
from seedance_dagster.cli.trace_tree import draw
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.settings import Settings
from seedance_dagster.trace.chain import Rows, read_rows, trace_of
from seedance_dagster.trace.origin import UnknownFormError, find_origin

if TYPE_CHECKING:
    from seedance_dagster.storage.s3 import VideoStore

_PATIENCE_S = 3  # a trace is worth more than a look at S3


@click.command("trace")
@click.argument("given", metavar="THING")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, given: str, as_json: bool) -> None:
    """Show where THING comes from: prompt, request, orders, tasks, files, and what Dagster was told.

    THING is the s3:// URI of a video, its poster or its manifest, a task id, SET/PARTITION, the sha256 of a
    video, or an mp4 on this machine under any name. Earlier attempts, earlier requests and what is still in
    flight are shown too. Ends with status 1 when the ledger knows nothing of it.
    """
    environment = Settings.from_environ(ledger_environ())
    bucket = environment.bucket
    with contextlib.closing(Ledger.open(environment.ledger_url)) as ledger:
        try:
            origin = find_origin(ledger, given, bucket=bucket)
        except UnknownFormError as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            raise click.UsageError(f"{given} cannot be read: {error.strerror}") from None
        rows = read_rows(ledger, origin)
    sizes, trouble = _look(environment, rows)
    if trouble:
        origin = replace(origin, notes=(*origin.notes, trouble))
    trace = trace_of(origin, rows, uri=lambda key: f"s3://{bucket}/{key}" if bucket else key, sizes=sizes)
    if as_json:
        print_json(trace.model_dump(mode="json"))
    else:
        told = console()
        # In a file each line stays whole.
        told.print(draw(trace), soft_wrap=not told.is_terminal)


def _look(environment: Settings, rows: Sequence[Rows]) -> tuple[dict[str, int | None], str | None]:
    """Sizes in S3 by key, None for what is missing; and why nobody could look, if so."""
    if not any(each.keys for each in rows):
        return {}, None
    if not environment.bucket:
        return {}, "nobody looked into S3: SEEDANCE_S3_BUCKET is not set"
    from seedance_dagster.storage.s3 import StoreError  # noqa: PLC0415  heavy, and only where there is a file

    try:
        return _sizes(_open_store(environment), rows), None
    except StoreError as error:
        return {}, f"nobody could look into S3: {error}"


def _open_store(environment: Settings) -> VideoStore:
    import boto3  # noqa: PLC0415  heavy
    from botocore.config import Config  # noqa: PLC0415  heavy

    from seedance_dagster.storage.s3 import VideoStore, made_client  # noqa: PLC0415  heavy

    patience = Config(
        connect_timeout=_PATIENCE_S, read_timeout=_PATIENCE_S, retries={"total_max_attempts": 1}
    )
    client = made_client(lambda: boto3.Session().client("s3", config=patience))
    return VideoStore(client, environment.bucket, environment.prefix)


def _sizes(store: VideoStore, rows: Iterable[Rows]) -> dict[str, int | None]:
    sizes: dict[str, int | None] = {}
    for each in rows:
        if not each.keys:
            continue
        place = f"{each.orders[0].prompt_set}/{each.orders[0].partition}"
        listed = store.listing(place)  # one call for all attempts
        folder = "/".join(part for part in (store.prefix.strip("/"), place) if part) + "/"
        for key in each.keys:
            # Where the prefix was another once, each is asked for by its name.
            found = listed.get(key) if key.startswith(folder) else store.head(key)
            sizes[key] = None if found is None else found.size_bytes
    return sizes
