"""`seedance-dagster restore`: brings a ledger up to date from the vendor, S3 and Dagster."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click
from dagster import DagsterInstance

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import dagster_of
from seedance_dagster.cli.output import console, print_json, print_table, progress_bars
from seedance_dagster.counting import counted
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.binding import rebind
from seedance_dagster.defs.steps.memory import Memory
from seedance_dagster.defs.steps.snapshot import DagsterSide
from seedance_dagster.engine.reference_contents import read_contents
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.restoration import ACTOR
from seedance_dagster.money import format_usd, points_to_usd
from seedance_dagster.prompts import format_problems
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.restore.apply import apply_plan
from seedance_dagster.restore.plan import NotRestored, Plan, PlannedOrder
from seedance_dagster.restore.restore import Place, find_place, plan_restoration, take_place

_LEASE_S = 120.0
_RENEWED_AFTER = 10  # orders, which takes seconds even where each waits for the database
_MEANINGS = {
    "stored": "its video is in S3",
    "succeeded": "its video is fetched by the next run",
    "submitted": "its task is followed",
    "uncertain": "the vendor's history decides; see `reconcile`",
    "rejected": "not sent again",
    "failed": "ended without a video",
}


@click.command(
    "restore",
    epilog=examples(
        "restore",
        "restore --apply",
    ),
)
@click.option(
    "--apply", "applying", is_flag=True, help="Restore what is listed; without it nothing is written."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, applying: bool, as_json: bool) -> None:
    """Bring up to date a ledger that is an older backup, or a new one that replaces a lost one.

    What was ordered since is read from the vendor's history, the manifests in S3 and Dagster's events: stored
    videos, tasks in flight, what they cost, and verdicts. Nothing is ordered or paid, and nothing in S3 is
    written. Orders that none of them shows are left to reconciliation, and what cannot come back is listed.
    Switch seedance_sensor off before, and on again afterwards.

    The exit status is 1 while something is to be restored, or cannot be.
    """
    settings = ledger_settings()
    source = PromptSource(settings.prompts, prices=settings.prices, key_prefix=settings.key_prefix)
    loaded = source.load()
    if loaded.errors:
        click.echo(format_problems(loaded.errors), err=True)
        raise click.ClickException(
            "prompt sets have errors, so it is not known what their orders asked for: nothing was restored"
        )
    with dagster_of(settings) as instance, settings.services() as services:
        services.ledger.restoration.check_intact()
        place = find_place(services)
        sets = [
            read_contents(services, prompt_set, list(prompt_set.partitions)) for prompt_set in loaded.sets
        ]
        behind = _check_memory(instance, services, place, sets)
        with progress_bars() as progress:
            side = DagsterSide(instance, services)
            plan = asyncio.run(plan_restoration(services, side, sets, place, progress=progress))
        failed = _apply(plan, services, instance, place, sets) if applying else {}
    if as_json:
        print_json(_as_json(plan, place, failed, applied=applying, behind=behind))
    else:
        _show(plan, place, failed, applied=applying, behind=behind)
    to_do = (plan.orders or plan.verdicts) and not applying
    open_ends = plan.not_restored or plan.problem or failed or to_do
    click.get_current_context().exit(1 if open_ends else 0)


def _check_memory(instance: DagsterInstance, services: Services, place: Place, sets: list[PromptSet]) -> bool:
    """Return True if the instance remembers more of the ledger than the ledger has.

    Raises:
        click.ClickException: It remembers that another ledger orders for the prompt sets.
    """
    memory, ledger_id = Memory.of(instance), place.identity.ledger_id
    for prompt_set in sets:
        others = [
            other
            for other in memory.ledger_ids.get(prompt_set.name, [])
            if other != ledger_id and not memory.never_ordered(other)
        ]
        if others:
            raise click.ClickException(
                f"{prompt_set.name}: this Dagster instance remembers that the ledger with the id {others[0]} "
                f"orders for it, and the one that would be restored has the id {ledger_id}: set "
                "SEEDANCE_S3_BUCKET and SEEDANCE_S3_PREFIX to where the videos of the remembered one are"
            )
    known = memory.ledgers.get(ledger_id)
    position = None if known is None else known.position
    return place.is_new or (position is not None and not services.ledger.journal.contains(position))


def _apply(
    plan: Plan, services: Services, instance: DagsterInstance, place: Place, sets: Sequence[PromptSet]
) -> dict[int, str]:
    """Restore what is planned; return the reason for each order that was not, by its position in the plan."""
    ledger, actor = services.ledger, f"{ACTOR} {uuid.uuid4().hex[:8]}"
    take_place(services, place)
    _take_lease(ledger, actor)
    try:
        written = []
        for outcome in apply_plan(plan, ledger, actor=actor):
            written.append(outcome)
            if len(written) % _RENEWED_AFTER == 0:
                _take_lease(ledger, actor)
        ledger.restoration.add_verdicts(plan.verdicts)
    finally:
        ledger.leases.release(ACTOR, actor)
    failed = {plan.orders.index(planned): reason for planned, reason in written if reason is not None}
    if not failed and plan.problem is None:
        bound = Memory.of(instance).ledger_ids
        # A tick of a new instance may have met the new ledger before it took the lost one's place.
        rebind(instance, ledger, [prompt_set.name for prompt_set in sets if prompt_set.name in bound])
    return failed


def _take_lease(ledger: Ledger, actor: str) -> None:
    if not ledger.leases.acquire(ACTOR, actor, seconds=_LEASE_S):
        raise click.ClickException(
            f"{ledger.leases.owner_of(ACTOR)} restores this ledger already: wait until it has finished; the "
            f"lease of a killed process ends after {_LEASE_S / 60:.0f} minutes"
        )


def _show(plan: Plan, place: Place, failed: dict[int, str], *, applied: bool, behind: bool) -> None:
    out = console()
    if not behind:
        out.print("Dagster's instance remembers nothing that this ledger lacks: it is probably up to date")
    if place.is_new:
        text = "replaces" if applied else "would replace"
        out.print(f"The ledger is new: it {text} the lost one with the id {place.identity.ledger_id}")
    if plan.orders:
        columns = ("Prompt", "State", "Task", "USD", "What becomes of it", "Known from")
        orders = [
            (
                planned.partition,
                planned.state,
                planned.task_id or "",
                _usd(planned),
                f"not restored: {failed[number]}" if number in failed else _MEANINGS[planned.state],
                planned.source,
            )
            for number, planned in enumerate(plan.orders)
        ]
        print_table(out, "Orders", columns, orders, numbers=("USD",))
    if plan.not_restored:
        rows = [(left.location, left.message, _usd(left)) for left in plan.not_restored]
        print_table(out, "Not restored", ("Location", "What is known", "USD"), rows, numbers=("USD",))
    for state, count in Counter(planned.state for planned in plan.orders).items():
        out.print(f"{count:>6} {state}", markup=False)
    for verdict, count in Counter(restored.verdict for restored in plan.verdicts).items():
        out.print(f"{count:>6} verdicts: {verdict}, known from Dagster's events", markup=False)
    out.print(_verdict(plan, failed, applied=applied), markup=False)


def _verdict(plan: Plan, failed: dict[int, str], *, applied: bool) -> str:
    if plan.problem is not None:
        return f"More may be missing, so runs stay refused: {plan.problem}"
    if not applied:
        return (
            "Nothing was written: run it again with --apply"
            if plan.orders or plan.verdicts
            else "Nothing is missing"
        )
    if failed:
        return f"{counted(len(failed), 'order')} could not be restored, so runs stay refused: run it again"
    return "The ledger is up to date, and may order again; seedance_sensor may be switched on"


def _usd(item: PlannedOrder | NotRestored) -> str:
    return format_usd(points_to_usd(item.points))


def _as_json(
    plan: Plan, place: Place, failed: dict[int, str], *, applied: bool, behind: bool
) -> dict[str, Any]:
    return {
        "ledger_id": place.identity.ledger_id,
        "new_ledger": place.is_new,
        "behind": behind,
        "applied": applied,
        "problem": plan.problem,
        "orders": [
            {
                "order_id": None if planned.row is None else planned.row.order_id,
                "partition": planned.partition,
                "state": planned.state,
                "task_id": planned.task_id,
                "cost_usd": points_to_usd(planned.points),
                "source": planned.source,
                "error": failed.get(number),
            }
            for number, planned in enumerate(plan.orders)
        ],
        "verdicts": [
            {
                "partition": f"{verdict.prompt_set}/{verdict.partition}",
                "verdict": verdict.verdict,
                "reviewer": verdict.reviewer,
                "given_at": verdict.given_at.isoformat(),
            }
            for verdict in plan.verdicts
        ],
        "not_restored": [
            {"location": left.location, "message": left.message, "cost_usd": points_to_usd(left.points)}
            for left in plan.not_restored
        ],
    }
