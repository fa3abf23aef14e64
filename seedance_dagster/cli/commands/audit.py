"""`seedance-dagster audit`: do ledger, vendor, Dagster and S3 agree, and mend what does not."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from seedance_dagster.audit.audit import Audit, audit
from seedance_dagster.audit.findings import Finding
from seedance_dagster.audit.read import Progress as Hears
from seedance_dagster.audit.repair import RepairResult, repair
from seedance_dagster.audit.snapshots import Scope
from seedance_dagster.cli.environ import project_environ
from seedance_dagster.cli.instance import dagster_of
from seedance_dagster.cli.output import console, say_json, table, usd
from seedance_dagster.defs.steps.snapshot import DagsterSide
from seedance_dagster.engine.services import Services
from seedance_dagster.money import points_to_usd
from seedance_dagster.settings import Settings


@click.command("audit")
@click.argument("prompt_set", required=False, metavar="[SET]")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Only what was ordered since then, UTC.",
)
@click.option(
    "--deep", is_flag=True, help="Hash the bytes of all videos and posters, and read all manifests."
)
@click.option("--repair", "mend", is_flag=True, help="Mend what can be mended safely.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, prompt_set: str | None, since: datetime | None, deep: bool, mend: bool, as_json: bool) -> None:
    """Compare ledger, vendor, Dagster and S3, and name every difference with its cost and what to do.

    --repair fetches lost videos again while the vendor has them, writes lost or altered manifests and removed
    rows of the ledger anew, and tells Dagster again; it never orders, pays or deletes anything. Ends with
    status 1 when there is a finding, also when it was mended: run it again to see that it was.
    """
    environ = project_environ()
    scope = Scope(prompt_set=prompt_set, since=since.replace(tzinfo=UTC) if since else None, deep=deep)
    with (
        Settings.from_environ(environ).services() as services,
        dagster_of(environ) as instance,
        _progress() as progress,
    ):
        side = DagsterSide(instance, services)
        found, mendings = asyncio.run(_run(services, side, scope, progress, mend=mend))
        known = {name for name, _ in services.ledger.workload.counts()}
    if prompt_set is not None and prompt_set not in known and not found.findings:
        names = ", ".join(sorted(known)) or "none"
        raise click.ClickException(f"there is nothing of a prompt set {prompt_set}; the ledger knows {names}")
    if as_json:
        say_json(_as_json(found, mendings))
    else:
        _show(found, mendings)
    click.get_current_context().exit(1 if found.findings else 0)


async def _run(
    services: Services, side: DagsterSide, scope: Scope, progress: Hears, *, mend: bool
) -> tuple[Audit, Mapping[Finding, RepairResult] | None]:
    found = await audit(services, side, scope, progress=progress)
    if not mend:
        return found, None
    return found, await repair(found, services, side, actor=f"audit {uuid.uuid4().hex[:8]}")


@contextlib.contextmanager
def _progress() -> Iterator[Hears]:
    """A bar for each step on the terminal; nothing where there is none."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    bars: dict[str, Any] = {}

    def hear(step: str, done: int, total: int) -> None:
        if step not in bars:
            bars[step] = shown.add_task(step, total=total)
        shown.update(bars[step], completed=done, total=total)

    with shown:
        yield hear


def _show(found: Audit, mendings: Mapping[Finding, RepairResult] | None) -> None:
    told = console()
    if found.findings:
        columns = ["Kind", "Where", "What", "USD", "What to do" if mendings is None else "Repair"]
        rows = table("Findings", columns, numbers=("USD",))
        for each in found.findings:
            last = each.advice if mendings is None else _repaired(mendings[each])
            cost = usd(points_to_usd(each.cost_points))
            texts = (each.kind.replace("_", " "), each.where, _about(each), cost, last)
            rows.add_row(*map(escape, texts))
        told.print(rows)
    for kind, (count, points) in found.kinds.items():
        told.print(f"{count:>6} {kind.replace('_', ' ')}, {usd(points_to_usd(points))} USD", markup=False)
    books = found.books
    verdict = f"{len(found.findings)} findings" if found.findings else "all four books agree"
    told.print(
        f"{found.audited} orders, {len(books.vendor.rows)} tasks in the vendor's history, "
        f"{len(books.dagster.newest)} partitions in Dagster, {len(books.storage.objects)} objects in S3: "
        f"{verdict}",
        markup=False,
    )


def _about(each: Finding) -> str:
    place = "/".join(filter(None, (each.prompt_set, each.partition)))
    return f"{place}: {each.what}" if place else each.what


def _repaired(mending: RepairResult) -> str:
    return f"mended: {mending.what}" if mending.repaired else f"left: {mending.what}"


def _as_json(found: Audit, mendings: Mapping[Finding, RepairResult] | None) -> dict[str, Any]:
    books, scope = found.books, found.scope
    return {
        "audited_at": books.read_at.isoformat(),
        "prompt_set": scope.prompt_set,
        "since": scope.since.isoformat() if scope.since else None,
        "deep": scope.deep,
        "books": {
            "orders": found.audited,
            "vendor_tasks": len(books.vendor.rows),
            "materialized_partitions": len(books.dagster.newest),
            "objects": len(books.storage.objects),
        },
        "findings": [
            each.model_dump(mode="json")
            | {"cost_usd": points_to_usd(each.cost_points)}
            | ({} if mendings is None else {"repair": vars(mendings[each])})
            for each in found.findings
        ],
        "totals": {
            kind: {"findings": count, "cost_points": points, "cost_usd": points_to_usd(points)}
            for kind, (count, points) in found.kinds.items()
        },
    }
