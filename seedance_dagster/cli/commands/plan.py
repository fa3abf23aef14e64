"""`seedance-dagster plan`: what prompt sets would cost, without sending anything."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import click
from rich.console import Console

from seedance_dagster.cli.budgets import budgets_as_json
from seedance_dagster.cli.environ import has_dev_folder, ledger_environ, project_environ
from seedance_dagster.cli.output import console, print_json, table, usd
from seedance_dagster.engine.events import Outcome
from seedance_dagster.engine.ordering.budget_check import BudgetCheck, budget_check, budgets_for
from seedance_dagster.engine.ordering.quote import Quote, quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.money import points_to_usd
from seedance_dagster.prompts import PromptSet, format_problems, load_prompt_sets
from seedance_dagster.settings import Settings, default_ledger_url

_WORDS = {
    Outcome.ORDERED: "new",
    Outcome.JOINED: "joined",
    Outcome.REUSED: "reused",
    Outcome.SKIPPED: "declined",
}


@dataclass(frozen=True)
class Plan:
    """What materializing all of one prompt set would order."""

    prompt_set: str
    quotes: tuple[Quote, ...]
    budget_check: BudgetCheck

    @property
    def new_usd(self) -> Decimal:
        """What the new orders would cost at most; the rest costs nothing."""
        return points_to_usd(self.budget_check.points)

    @property
    def as_failure(self) -> str:
        """How many are new, joined, reused and declined."""
        counts = Counter(_WORDS[each.outcome] for each in self.quotes)
        return ", ".join(f"{number} {word}" for word, number in counts.items()) or "no prompts"


@click.command("plan")
@click.argument("location", required=False)
@click.option(
    "--set", "names", multiple=True, metavar="NAME", help="Plan only this prompt set; may be repeated."
)
@click.option("--regenerate", is_flag=True, help="As a run with `regenerate` would.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, location: str | None, names: Sequence[str], regenerate: bool, as_json: bool) -> None:
    """Show what each prompt would cost and what asking for it would lead to. Nothing is sent or ordered.

    LOCATION is a file, a folder or an s3:// URL; without it SEEDANCE_PROMPTS counts. New prompts would be
    ordered; joined ones are under way, reused ones stored, declined ones were refused before: these cost
    nothing.
    Ends with status 1 when a prompt set has an error or does not fit its budgets.
    """
    environ = project_environ()
    nothing_yet = not (environ.get("DAGSTER_HOME") or environ.get("SEEDANCE_LEDGER_URL") or has_dev_folder())
    environment = Settings.from_environ(environ if nothing_yet else ledger_environ())
    loaded = load_prompt_sets(location or environment.prompts)
    unknown = sorted(set(names) - {each.name for each in loaded.sets})
    if unknown and not loaded.errors:
        known = ", ".join(each.name for each in loaded.sets) or "none"
        raise click.ClickException(f"no prompt set {', '.join(unknown)} here; known: {known}")
    with contextlib.ExitStack() as stack:
        if nothing_yet:
            # Before anything was ever ordered a plan needs no ledger, and leaves none behind.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="seedance-"))
            environment = environment.model_copy(update={"ledger": default_ledger_url(folder)})
        services = stack.enter_context(environment.services())
        plans = [
            _plan(services, each, regenerate=regenerate)
            for each in loaded.sets
            if not names or each.name in names
        ]
    if as_json:
        problems = [str(problem) for problem in loaded.problems]
        print_json({"prompt_sets": [_as_json(plan) for plan in plans], "problems": problems})
    else:
        told = console()
        for plan in plans:
            _show(told, plan)
        if len(plans) > 1:
            told.print(f"Together {usd(sum((plan.new_usd for plan in plans), Decimal(0)))} USD")
        if loaded.problems:
            click.echo(format_problems(loaded.problems), err=True)
    crossed = any(not plan.budget_check.fits for plan in plans)
    click.get_current_context().exit(1 if loaded.errors or crossed else 0)


def _plan(services: Services, prompt_set: PromptSet, *, regenerate: bool) -> Plan:
    request = OrderRequest(idempotency_key="", run_id="", regenerate=regenerate)
    quotes = quote(services, list(prompt_set.partitions.values()), request, prompt_set=prompt_set.name)
    budgets = budgets_for(services, prompt_set.name, prompt_set.budgets)
    return Plan(prompt_set.name, tuple(quotes), budget_check(services, quotes, budgets))


def _show(told: Console, plan: Plan) -> None:
    rows = table(
        f"Prompt set {plan.prompt_set}",
        ("Prompt", "Task type", "Mode", "Seconds", "USD", "Would be"),
        numbers=("Seconds", "USD"),
    )
    for each in plan.quotes:
        request = each.partition.request
        bound = "" if each.estimate.exact else "up to "
        rows.add_row(
            each.partition.key,
            request.task_type,
            request.mode,
            str(request.duration),
            bound + usd(points_to_usd(each.estimate.points)),
            _WORDS[each.outcome],
        )
    told.print(rows)
    told.print(f"{plan.as_failure}; the new ones cost {_at_most(plan)}{usd(plan.new_usd)} USD")
    for usage in plan.budget_check.usages:
        told.print(f"Budget  {usage}", markup=False)
    check = plan.budget_check
    if not check.fits:
        told.print(f"They do not fit: only the first {check.affordable} of {check.new} would", style="red")
    told.print()


def _at_most(plan: Plan) -> str:
    exact = all(each.estimate.exact for each in plan.quotes if each.outcome is Outcome.ORDERED)
    return "" if exact else "up to "


def _as_json(plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.prompt_set,
        "new_usd": plan.new_usd,
        "new": plan.budget_check.new,
        "fitting": plan.budget_check.affordable,
        "budgets": budgets_as_json(plan.budget_check.usages),
        "prompts": [
            {
                "partition": each.partition.key,
                "task_type": each.partition.request.task_type,
                "mode": each.partition.request.mode,
                "duration_s": each.partition.request.duration,
                "usd": points_to_usd(each.estimate.points),
                "exact": each.estimate.exact,
                "price_table": each.estimate.table,
                "outcome": _WORDS[each.outcome],
            }
            for each in plan.quotes
        ],
    }
