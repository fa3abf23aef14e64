"""`seedance-dagster audit`: compares ledger, vendor, Dagster and S3, and repairs what is safe to repair."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from seedance_dagster.audit.audit import Audit, audit
from seedance_dagster.audit.findings import Finding
from seedance_dagster.audit.repair import RepairResult, repair
from seedance_dagster.audit.snapshots import Scope
from seedance_dagster.audit.sources import Progress as ShowProgress
from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import dagster_of, warn_of_unknown_ledger
from seedance_dagster.cli.output import console, print_json, progress_bars, table
from seedance_dagster.cli.since import SINCE_HELP, Since
from seedance_dagster.counting import counted
from seedance_dagster.defs.steps.binding import check_known
from seedance_dagster.defs.steps.snapshot import DagsterSide
from seedance_dagster.engine.services import Services
from seedance_dagster.money import format_usd, points_to_usd, usd_text
from seedance_dagster.storage.keys import journal_key

Repairs = Mapping[Finding, RepairResult]


@click.command("audit", epilog=examples("audit", "audit launch_spots --since 7d --deep", "audit --repair"))
@click.argument("prompt_set", required=False, metavar="[SET]")
@click.option(
    "--since", type=Since(), metavar="TIME", help=f"Audit only orders placed since this time, {SINCE_HELP}"
)
@click.option("--deep", is_flag=True, help="Hash all videos and posters, and read all manifests.")
@click.option("--repair", "repairing", is_flag=True, help="Repair what is safe to repair.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(
    *, prompt_set: str | None, since: datetime | None, deep: bool, repairing: bool, as_json: bool
) -> None:
    """Compare ledger, vendor, Dagster and S3, and list every difference with its cost and what to do.

    --repair fetches lost videos again while the vendor has them, cuts lost posters again, writes lost or
    altered manifests, restores missing orders, and reports events to Dagster again, each only where two
    systems agree. It never orders, pays or deletes anything, and keeps what it replaces. The exit status is
    1 when there is a finding, even if it was repaired: run the audit again to confirm the repair.
    """
    if prompt_set is not None and (not prompt_set or "/" in prompt_set):
        # Nothing in the ledger has such a name, so all objects at it would be findings.
        whole = prompt_set.partition("/")[0] or "SET"
        raise click.UsageError(
            f"{prompt_set!r} is not a prompt set, and an audit covers whole sets: audit {whole}"
        )
    settings = ledger_settings()
    scope = Scope(prompt_set=prompt_set, since=since, deep=deep)
    with (
        dagster_of(settings) as instance,
        settings.services() as services,
        progress_bars() as progress,
    ):
        if repairing:
            check_known(instance, services.ledger)
            services.claim_prefix()  # another ledger's objects belong to no order of this one
        else:
            warn_of_unknown_ledger(settings, services.ledger)
        side = DagsterSide(instance, services)
        result, repairs = asyncio.run(_run(services, side, scope, progress, repairing=repairing))
        known = {name for name, _ in services.ledger.workload.counts()}
    if prompt_set is not None and prompt_set not in known and not result.findings:
        names = ", ".join(sorted(known)) or "none"
        raise click.ClickException(f"nothing exists for prompt set {prompt_set}; known sets: {names}")
    if as_json:
        print_json(_as_json(result, repairs))
    else:
        _show(result, repairs)
    click.get_current_context().exit(1 if result.findings else 0)


async def _run(
    services: Services, side: DagsterSide, scope: Scope, progress: ShowProgress, *, repairing: bool
) -> tuple[Audit, Repairs | None]:
    result = await audit(services, side, scope, progress=progress)
    if not repairing:
        return result, None
    return result, await repair(result, services, side, actor=f"audit {uuid.uuid4().hex[:8]}")


def _show(result: Audit, repairs: Repairs | None) -> None:
    out = console()
    if result.findings:
        columns = ["Kind", "Location", "Finding", "USD", "What to do" if repairs is None else "Repair"]
        rows = table("Findings", columns, numbers=("USD",))
        for finding in result.findings:
            last = finding.advice if repairs is None else _outcome(repairs[finding])
            cost = format_usd(points_to_usd(finding.cost_points))
            texts = (finding.kind.replace("_", " "), finding.location, _message(finding), cost, last)
            rows.add_row(*texts)
        out.print(rows)
    for kind, (count, points) in result.totals.items():
        out.print(f"{count:>6} {kind.replace('_', ' ')}, {usd_text(points)}", markup=False)
    count, compared, storage = len(result.findings), result.compared, result.snapshots.storage
    verdict = counted(count, "finding") if count else "everything agrees"
    out.print(
        f"{counted(compared.orders, 'order')}, {counted(compared.vendor_tasks, 'task')} in the "
        f"vendor's history, {counted(compared.materialized_partitions, 'partition')} in Dagster, "
        f"{counted(compared.objects, 'object')} in S3: {verdict}",
        markup=False,
    )
    if archived := compared.archived_entries:
        entries = counted(archived, "entry of the journal is", "entries of the journal are")
        folder = journal_key(storage.prefix, "*")
        out.print(f"{entries} in the archive {storage.uri(folder)}", markup=False)
    if kept := compared.replaced_objects:
        out.print(f"{counted(kept, 'replaced object is', 'replaced objects are')} kept in S3", markup=False)


def _message(finding: Finding) -> str:
    partition = "/".join(filter(None, (finding.prompt_set, finding.partition)))
    message = f"{partition}: {finding.message}" if partition else finding.message
    return "\n".join([message, *map(str, finding.evidence)])


def _outcome(result: RepairResult) -> str:
    return f"{'repaired' if result.repaired else 'not repaired'}: {result.message}"


def _as_json(result: Audit, repairs: Repairs | None) -> dict[str, Any]:
    scope = result.scope
    return {
        "audited_at": result.snapshots.read_at.isoformat(),
        "prompt_set": scope.prompt_set,
        "since": scope.since.isoformat() if scope.since else None,
        "deep": scope.deep,
        "compared": vars(result.compared),
        "findings": [
            finding.model_dump(mode="json")
            | {"cost_usd": points_to_usd(finding.cost_points)}
            | ({} if repairs is None else {"repair": vars(repairs[finding])})
            for finding in result.findings
        ],
        "totals": {
            kind: {"findings": count, "cost_points": points, "cost_usd": points_to_usd(points)}
            for kind, (count, points) in result.totals.items()
        },
    }
