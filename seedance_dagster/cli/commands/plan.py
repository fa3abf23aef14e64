"""`seedance-dagster plan`: shows what prompt sets would cost, without ordering anything."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from seedance_dagster.cli.environ import command_environ, is_home, ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import dagster_of, sentences_on_assets, warn_of_unknown_ledger
from seedance_dagster.cli.output import (
    budgets_as_json,
    console,
    print_json,
    print_table,
    progress_bars,
    table,
)
from seedance_dagster.counting import counted
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.engine.ordering.budget_check import BudgetCheck
from seedance_dagster.engine.ordering.plan import OUTCOMES, Plan, plan_set, plan_together
from seedance_dagster.engine.ordering.quote import Quote
from seedance_dagster.engine.ordering.saving import Saving
from seedance_dagster.garbage import without_garbage_collection
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.money import format_usd, points_to_usd
from seedance_dagster.prompts import format_problems
from seedance_dagster.prompts.loading import LoadedPromptSets
from seedance_dagster.settings import Settings, default_ledger_url


@click.command(
    "plan",
    epilog=examples(
        "plan",
        "plan launch_spots",
        "plan --prompts drafts/launch.csv",
    ),
)
@click.argument("names", nargs=-1, metavar="[SET]...")
@click.option(
    "--prompts", "location", metavar="LOCATION", help="Read the sets from this file, folder or s3:// URL."
)
@click.option("--regenerate", is_flag=True, help="Plan for a run with `regenerate`.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, location: str | None, names: Sequence[str], regenerate: bool, as_json: bool) -> None:
    """Show what each prompt would cost and whether it would be ordered. Nothing is sent or ordered.

    All sets of SEEDANCE_PROMPTS are planned, or those that are named. New prompts would be ordered. The
    others cost nothing: joined ones are in flight, reused ones are stored, and skipped ones ended without a
    video before. The exit status is 1 when a prompt set has an error, or new prompts do not fit the budgets.
    """
    environ = command_environ()
    no_ledger = not (environ.get("DAGSTER_HOME") or environ.get("SEEDANCE_LEDGER_URL"))
    settings = Settings.from_environ(environ) if no_ledger else ledger_settings(environ)
    elsewhere: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(without_garbage_collection())
        loaded = PromptSource(
            location or settings.prompts, prices=settings.prices, key_prefix=settings.key_prefix
        ).load()
        _check_names(names, loaded, settings)
        if no_ledger:
            # Before the first order a plan needs no ledger, and leaves none behind.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="seedance-"))
            settings = settings.model_copy(update={"ledger": default_ledger_url(folder)})
        services = stack.enter_context(settings.services())
        warn_of_unknown_ledger(settings, services.ledger)
        request = OrderRequest(idempotency_key="", run_id="", regenerate=regenerate)
        planned = [prompt_set for prompt_set in loaded.sets if not names or prompt_set.name in names]
        show_progress = stack.enter_context(progress_bars())
        plans = []
        for number, prompt_set in enumerate(planned, start=1):
            plans.append(plan_set(services, prompt_set, request))
            show_progress("Prompt sets", number, len(planned))
        together = plan_together(services, plans)
        if not (names or location) and services.ledger.partitions.sets_read() - set(loaded.names):
            elsewhere = _planned_in_dagster(settings)
    if as_json:
        problems = [str(problem) for problem in loaded.problems]
        print_json(
            {
                "prompt_sets": [_as_json(plan) for plan in plans],
                "together": {
                    "new_usd": points_to_usd(together.points),
                    "reserved_usd": points_to_usd(together.reserved),
                    "new": together.new,
                    "affordable": together.affordable,
                },
                "problems": problems,
            }
        )
    else:
        out = console()
        for plan in plans:
            _show(out, plan)
        if len(plans) > 1:
            _show_together(out, together, exact=all(plan.exact for plan in plans))
        if loaded.problems:
            click.echo(format_problems(loaded.problems), err=True)
        if not loaded.listed:
            click.echo("--prompts or SEEDANCE_PROMPTS names the file or folder of the prompt sets", err=True)
    for sentence in elsewhere.values():
        click.echo(sentence, err=True)
    fits = together.fits and all(plan.budgets.fits for plan in plans)
    click.get_current_context().exit(1 if loaded.errors or not fits else 0)


def _check_names(names: Sequence[str], loaded: LoadedPromptSets, settings: Settings) -> None:
    """Raise an error for sets that are not in these files, unless one of them cannot be read."""
    unknown = sorted(set(names) - {prompt_set.name for prompt_set in loaded.sets})
    elsewhere = _planned_in_dagster(settings) if unknown else {}
    if sentences := [elsewhere[name] for name in unknown if name in elsewhere]:
        raise click.ClickException("\n".join(sentences))
    # An unreadable file without a name may be the one that is meant.
    nameless = any(not file.prompt_set for file in loaded.files)
    if unknown := [name for name in unknown if name not in loaded.names and not (nameless and loaded.errors)]:
        known = ", ".join(loaded.names) or "none"
        raise click.ClickException(
            f"there is no prompt set {', '.join(unknown)}; known sets: {known} "
            "(--prompts names a file or folder)"
        )


def _planned_in_dagster(settings: Settings) -> dict[str, str]:
    """Return a sentence for each set that this command cannot plan; none without an instance of Dagster."""
    if not is_home(settings.dagster_home):
        return {}
    with dagster_of(settings) as instance:
        return sentences_on_assets(instance, "run the job seedance_plan to see what they would cost")


def _show(out: Console, plan: Plan) -> None:
    print_table(
        out,
        f"Prompt set {plan.prompt_set}",
        ("Prompt", "Task type", "Mode", "Seconds", "USD", "Outcome"),
        [_row(plan, priced) for priced in plan.quotes],
        numbers=("Seconds", "USD"),
    )
    if plan.variants:
        out.print(_variants(plan))
    if plan.saving is not None:
        out.print(_saving(plan.saving), markup=False)
    out.print(_summary(plan))
    if plan.reserved_usd > plan.new_usd:
        out.print("Prices may change until an order is sent, so budgets count the highest that could apply")
    for usage in plan.budgets.usages:
        out.print(f"Budget  {usage}", markup=False)
    if not plan.budgets.fits:
        out.print(f"They do not fit into the budgets: {_share(plan.budgets)} would", style="red")
    out.print()


def _row(plan: Plan, priced: Quote) -> tuple[str, ...]:
    request = priced.partition.request
    bound = "" if priced.estimate.exact else "up to "
    return (
        priced.partition.key,
        request.task_type,
        request.mode,
        str(request.duration),
        bound + format_usd(points_to_usd(priced.estimate.points)),
        _outcome(plan, priced),
    )


def _variants(plan: Plan) -> Table:
    rows = table("By variant", ("Varies", "Value", "Videos", "New USD"), numbers=("Videos", "New USD"))
    for cost in plan.variants:
        usd = format_usd(points_to_usd(cost.points))
        rows.add_row(cost.axis, cost.value, str(cost.videos), usd if cost.exact else f"up to {usd}")
    return rows


def _saving(saving: Saving) -> str:
    bound = "" if saving.exact else "up to "
    usd = {
        points: bound + format_usd(points_to_usd(points))
        for points in (saving.draft_points, saving.final_points, saving.all_final_points)
    }
    difference = format_usd(points_to_usd(abs(saving.points)))
    result = f"save {difference} USD" if saving.points >= 0 else f"cost {difference} USD more"
    return (
        f"{counted(saving.drafts, 'draft')}: {usd[saving.draft_points]} USD, and the finals of those "
        f"that are accepted ({saving.accepted}): {usd[saving.final_points]} USD; "
        f"everything in final would cost "
        f"{usd[saving.all_final_points]} USD, so drafts {result}"
    )


def _show_together(out: Console, together: BudgetCheck, *, exact: bool) -> None:
    estimated, reserved = (
        format_usd(points_to_usd(points)) for points in (together.points, together.reserved)
    )
    out.print(
        f"All sets together: {'' if exact else 'up to '}{estimated} USD"
        + ("" if estimated == reserved else f", and {reserved} USD would be reserved")
    )
    if not together.fits:
        out.print(f"Together they do not fit into the shared budgets: {_share(together)} would", style="red")


def _share(budgets: BudgetCheck) -> str:
    return f"the first {budgets.affordable} of {budgets.new}" if budgets.affordable else "none"


def _summary(plan: Plan) -> str:
    bound = "" if plan.exact else "up to "
    text = f"{plan.counts}; the new ones cost {bound}{format_usd(plan.new_usd)} USD"
    if plan.reserved_usd > plan.new_usd:
        text += f", and {format_usd(plan.reserved_usd)} USD would be reserved"
    return text


def _outcome(plan: Plan, priced: Quote) -> str:
    ordered_as = plan.ordered_as(priced)
    return OUTCOMES[priced.outcome] + (f", ordered as {ordered_as}" if ordered_as else "")


def _as_json(plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.prompt_set,
        "new_usd": plan.new_usd,
        "reserved_usd": plan.reserved_usd,
        "new": plan.budgets.new,
        "affordable": plan.budgets.affordable,
        "budgets": budgets_as_json(plan.budgets.usages),
        "variants": [
            {
                "axis": cost.axis,
                "value": cost.value,
                "videos": cost.videos,
                "new_usd": points_to_usd(cost.points),
            }
            for cost in plan.variants
        ],
        "drafts": None if plan.saving is None else _saving_as_json(plan.saving),
        "prompts": [
            {
                "partition": priced.partition.key,
                "task_type": priced.partition.request.task_type,
                "mode": priced.partition.request.mode,
                "duration_s": priced.partition.request.duration,
                "usd": points_to_usd(priced.estimate.points),
                "reserved_usd": points_to_usd(priced.estimate.reserved_points),
                "exact": priced.estimate.exact,
                "price_table": priced.estimate.table,
                "outcome": OUTCOMES[priced.outcome],
                "ordered_as": plan.ordered_as(priced),
            }
            for priced in plan.quotes
        ],
    }


def _saving_as_json(saving: Saving) -> dict[str, Any]:
    return {
        "drafts": saving.drafts,
        "drafts_usd": points_to_usd(saving.draft_points),
        "accepted": saving.accepted,
        "finals_usd": points_to_usd(saving.final_points),
        "all_in_final_usd": points_to_usd(saving.all_final_points),
        "saved_usd": points_to_usd(saving.points),
        "exact": saving.exact,
    }
