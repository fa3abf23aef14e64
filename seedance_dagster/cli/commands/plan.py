"""`seedance-dagster plan`: shows what prompt sets would cost, without ordering anything."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import click
from rich.console import Console

from seedance_dagster.cli.environ import command_environ, ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import budgets_as_json, console, print_json, progress_bars, table
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.engine.ordering.budget_check import BudgetCheck, budget_check, budgets_for
from seedance_dagster.engine.ordering.quote import Quote, quote
from seedance_dagster.engine.reference_contents import with_known_contents
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.money import format_usd, points_to_usd
from seedance_dagster.prompts import PromptSet, format_problems
from seedance_dagster.settings import Settings, default_ledger_url

_OUTCOMES = {
    Outcome.ORDERED: "new",
    Outcome.JOINED: "joined",
    Outcome.REUSED: "reused",
    Outcome.SKIPPED: "skipped",
}


@dataclass(frozen=True)
class Plan:
    """The orders that materializing all of one prompt set would make, and their cost."""

    prompt_set: str
    quotes: tuple[Quote, ...]
    budgets: BudgetCheck

    @property
    def new_usd(self) -> Decimal:
        """The cost of the new orders by the prices of now; the rest is free."""
        return points_to_usd(self.budgets.points)

    @property
    def reserved_usd(self) -> Decimal:
        """The most that the new orders could cost: budgets count this until the charges are known."""
        return points_to_usd(self.budgets.reserved)

    def __str__(self) -> str:
        counts = Counter(_OUTCOMES[priced.outcome] for priced in self.quotes)
        summary = ", ".join(f"{number} {outcome}" for outcome, number in counts.items()) or "no prompts"
        new = [priced for priced in self.quotes if priced.is_new]
        bound = "" if all(priced.estimate.exact for priced in new) else "up to "
        reserved = (
            f", {format_usd(self.reserved_usd)} USD are reserved" if self.reserved_usd > self.new_usd else ""
        )
        return f"{summary}; the new ones cost {bound}{format_usd(self.new_usd)} USD{reserved}"


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
    video before. The exit status is 1 when a prompt set has an error, or when they do not fit the budgets.
    """
    environ = command_environ()
    no_ledger = not (environ.get("DAGSTER_HOME") or environ.get("SEEDANCE_LEDGER_URL"))
    settings = Settings.from_environ(environ) if no_ledger else ledger_settings()
    loaded = PromptSource(
        location or settings.prompts, prices=settings.prices, key_prefix=settings.key_prefix
    ).load()
    unknown = sorted(set(names) - {prompt_set.name for prompt_set in loaded.sets})
    if unknown and not loaded.errors:
        known = ", ".join(prompt_set.name for prompt_set in loaded.sets) or "none"
        raise click.ClickException(
            f"there is no prompt set {', '.join(unknown)}; known sets: {known} "
            "(--prompts names a file or folder)"
        )
    with contextlib.ExitStack() as stack:
        if no_ledger:
            # Before the first order a plan needs no ledger, and leaves none behind.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="seedance-"))
            settings = settings.model_copy(update={"ledger": default_ledger_url(folder)})
        services = stack.enter_context(settings.services())
        planned = [prompt_set for prompt_set in loaded.sets if not names or prompt_set.name in names]
        show_progress = stack.enter_context(progress_bars())
        plans = []
        for number, prompt_set in enumerate(planned, start=1):
            plans.append(_plan(services, prompt_set, regenerate=regenerate))
            show_progress("Prompt sets", number, len(planned))
        together = _together(services, plans)
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
            _show_together(out, together)
        if loaded.problems:
            click.echo(format_problems(loaded.problems), err=True)
    fits = together.fits and all(plan.budgets.fits for plan in plans)
    click.get_current_context().exit(1 if loaded.errors or not fits else 0)


def _plan(services: Services, prompt_set: PromptSet, *, regenerate: bool) -> Plan:
    request = OrderRequest(idempotency_key="", run_id="", regenerate=regenerate)
    prompt_set = with_known_contents(services.ledger, prompt_set)
    quotes = quote(services, list(prompt_set.partitions.values()), request, prompt_set=prompt_set.name)
    budgets = budgets_for(services, prompt_set.name, prompt_set.budgets)
    return Plan(prompt_set.name, tuple(quotes), budget_check(services, quotes, budgets))


def _together(services: Services, plans: Iterable[Plan]) -> BudgetCheck:
    """Check all plans against the budgets that the sets share; an order that two sets ask for counts once."""
    new = {
        (priced.order.fingerprint, priced.order.take, priced.order.scope): priced
        for plan in plans
        for priced in plan.quotes
        if priced.is_new
    }
    return budget_check(services, list(new.values()), services.policy.budgets)


def _show(out: Console, plan: Plan) -> None:
    rows = table(
        f"Prompt set {plan.prompt_set}",
        ("Prompt", "Task type", "Mode", "Seconds", "USD", "Outcome"),
        numbers=("Seconds", "USD"),
    )
    for priced in plan.quotes:
        request = priced.partition.request
        bound = "" if priced.estimate.exact else "up to "
        rows.add_row(
            priced.partition.key,
            request.task_type,
            request.mode,
            str(request.duration),
            bound + format_usd(points_to_usd(priced.estimate.points)),
            _outcome(plan, priced),
        )
    out.print(rows)
    out.print(str(plan))
    if plan.reserved_usd > plan.new_usd:
        out.print("Prices may change until an order is sent, so budgets count the highest that could apply")
    for usage in plan.budgets.usages:
        out.print(f"Budget  {usage}", markup=False)
    if not plan.budgets.fits:
        affordable, new = plan.budgets.affordable, plan.budgets.new
        out.print(f"They do not fit into the budgets: the first {affordable} of {new} would", style="red")
    out.print()


def _show_together(out: Console, together: BudgetCheck) -> None:
    estimated, reserved = (
        format_usd(points_to_usd(points)) for points in (together.points, together.reserved)
    )
    out.print(
        f"All sets together: {estimated} USD"
        + ("" if estimated == reserved else f", {reserved} USD reserved")
    )
    if not together.fits:
        share = f"the first {together.affordable} of {together.new}" if together.affordable else "none"
        out.print(f"Together they do not fit into the shared budgets: {share} would", style="red")


def _outcome(plan: Plan, priced: Quote) -> str:
    ordered_as = _ordered_as(plan, priced)
    return _OUTCOMES[priced.outcome] + (f", ordered as {ordered_as}" if ordered_as else "")


def _ordered_as(plan: Plan, priced: Quote) -> str | None:
    """Return the partition that a prompt's order is made for; None for its own."""
    order = priced.existing or priced.order
    place = (order.prompt_set, order.partition)
    if priced.repeats is not None:
        place = (plan.prompt_set, priced.repeats)
    return None if place == (plan.prompt_set, priced.partition.key) else "/".join(place)


def _as_json(plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.prompt_set,
        "new_usd": plan.new_usd,
        "reserved_usd": plan.reserved_usd,
        "new": plan.budgets.new,
        "affordable": plan.budgets.affordable,
        "budgets": budgets_as_json(plan.budgets.usages),
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
                "outcome": _OUTCOMES[priced.outcome],
                "ordered_as": _ordered_as(plan, priced),
            }
            for priced in plan.quotes
        ],
    }
