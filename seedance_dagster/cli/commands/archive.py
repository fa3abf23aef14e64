"""`seedance-dagster archive`: moves the journal of orders that ended long ago from the ledger into S3."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import check_ledger_is_known
from seedance_dagster.cli.output import console, print_json, progress_bars
from seedance_dagster.cli.since import Age
from seedance_dagster.counting import counted
from seedance_dagster.engine.archiving import archive_journal, check_possible
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.archive import Archivable, ArchivePart
from seedance_dagster.storage.keys import journal_key

_LEAST_DAYS = 7


@click.command("archive", epilog=examples("archive", "archive --older-than 365d --apply"))
@click.option(
    "--older-than",
    type=Age(least=_LEAST_DAYS),
    default="90d",
    show_default=True,
    help=f"Archive the journal of orders that have not changed for this long; at least {_LEAST_DAYS}d.",
)
@click.option(
    "--apply", "applying", is_flag=True, help="Archive what is listed; without it nothing is written."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, older_than: timedelta, applying: bool, as_json: bool) -> None:
    """Move the journal of orders that ended long ago into the bucket, as Parquet.

    The ledger keeps the orders with their money, and the journal of those that are open or not reported yet.
    Each file is read again before its entries are deleted, so the command may be stopped at any time.
    `trace` and `audit` read the files. Needs the extra `parquet`.
    """
    settings = ledger_settings()
    with settings.services() as services:
        check_possible(services)
        check_ledger_is_known(settings, services.ledger)
        before = services.clock() - older_than
        archivable = services.ledger.archive.archivable(before)
        parts = _apply(services, before, archivable) if applying else []
        place = services.store.uri(journal_key(services.store.prefix, "*"))
    if as_json:
        print_json(_as_json(archivable, parts, before, place, applied=applying))
    else:
        _show(archivable, parts, before, place, applied=applying)


def _apply(services: Services, before: datetime, archivable: Archivable) -> list[ArchivePart]:
    parts: list[ArchivePart] = []
    with progress_bars() as progress:
        for part in archive_journal(services, before, owner=f"archive {uuid.uuid4().hex[:8]}"):
            parts.append(part)
            progress("Archiving entries", sum(part.entries for part in parts), archivable.entries)
    return parts


def _show(
    archivable: Archivable, parts: list[ArchivePart], before: datetime, place: str, *, applied: bool
) -> None:
    out, until = console(), f"{before:%Y-%m-%d %H:%M} UTC"
    if applied:
        entries = counted(sum(part.entries for part in parts), "entry", "entries")
        out.print(f"Moved {entries} of the journal, in {counted(len(parts), 'file')}, to {place}")
    elif archivable.orders:
        out.print(
            f"{counted(archivable.orders, 'order')} that ended before {until}, with "
            f"{counted(archivable.entries, 'entry', 'entries')} of the journal, would be moved to {place}\n"
            "Nothing was written: run it again with --apply"
        )
    else:
        out.print(f"No order that ended before {until} has entries left to archive")


def _as_json(
    archivable: Archivable, parts: list[ArchivePart], before: datetime, place: str, *, applied: bool
) -> dict[str, Any]:
    return {
        "before": before,
        "place": place,
        "applied": applied,
        "orders": archivable.orders,
        "entries": archivable.entries,
        "first_at": archivable.first_at,
        "last_at": archivable.last_at,
        "files": [
            {"key": part.key, "entries": part.entries, "size_bytes": part.size_bytes, "sha256": part.sha256}
            for part in parts
        ],
    }
