"""`seedance-dagster status`: what is ordered, stored, outstanding and spent."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from seedance_dagster.api.limits import Limits
from seedance_dagster.cli.budgets import budgets_as_json
from seedance_dagster.cli.environ import ledger_environ
from seedance_dagster.cli.output import console, print_json, span, table, usd
from seedance_dagster.cli.status_report import Standing, read_usage
from seedance_dagster.engine.ordering.budget_check import own_budgets
from seedance_dagster.engine.throttle import read_throttle
from seedance_dagster.ledger.budgets import BudgetUsage
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.prompts import load_prompt_sets
from seedance_dagster.settings import Settings

_SHOWN = 20


@click.command("status")
@click.option("--set", "prompt_set", metavar="NAME", help="Look at this prompt set only.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, prompt_set: str | None, as_json: bool) -> None:
    """Show counts, money, what is outstanding and how long it may take, as the ledger knows it.

    Ends with status 1 when something needs somebody: a prompt without a video, a paid video that cannot be
    stored, a task that is very late, an order whose reply was lost, missing credits.
    """
    environment = Settings.from_environ(ledger_environ())
    loaded = load_prompt_sets(environment.prompts)
    with contextlib.closing(Ledger.open(environment.ledger_url)) as ledger:
        now, policy = datetime.now(UTC), environment.policy()
        known = {name for name, _ in ledger.workload.counts()} | {each.name for each in loaded.sets}
        looked_at = [each for each in loaded.sets if prompt_set in (None, each.name)]
        of_sets = [budget for each in looked_at for budget in own_budgets(each.name, each.budgets)]
        budgets = ledger.budgets.usage([*policy.budgets, *of_sets])
        standing = read_usage(
            ledger,
            now=now,
            throttle=read_throttle(ledger, policy, Limits.load(), now=now),
            stale_after=timedelta(seconds=policy.stale_after_s),
            prompt_set=prompt_set,
            budgets=budgets,
        )
        label = ledger.label
    if prompt_set is not None and prompt_set not in known:
        names = ", ".join(sorted(known)) or "none"
        raise click.ClickException(f"there is no prompt set {prompt_set}; known: {names}")
    if as_json:
        print_json(_as_json(standing, label) | {"budgets": budgets_as_json(budgets)})
    else:
        _show(standing, budgets, label)
    click.get_current_context().exit(1 if standing.problems else 0)


def _show(standing: Standing, budgets: Sequence[BudgetUsage], label: str) -> None:
    told = console()
    if standing.counts:
        counts = table("Orders", ("Prompt set", "State", "Orders", "USD"), numbers=("Orders", "USD"))
        for count in standing.counts:
            counts.add_row(count.prompt_set, count.state, str(count.orders), usd(count.usd))
        told.print(counts)
    else:
        told.print(f"Nothing was ordered yet, says the ledger {label}", markup=False)
    if standing.open:
        oldest = table(
            f"Outstanding, the oldest of {len(standing.open)}",
            ("Prompt", "State", "Task", "Age", "USD"),
            numbers=("Age", "USD"),
        )
        for each in standing.open[:_SHOWN]:
            name = f"{each.order.prompt_set}/{each.order.partition}"
            oldest.add_row(name, each.order.state, each.order.task_id or "", span(each.age), usd(each.usd))
        told.print(oldest)
    left = "unknown until one such video is there" if standing.time_left is None else span(standing.time_left)
    penalties = standing.penalties_usd
    part = f", {usd(penalties)} USD of it as penalties for refused prompts" if penalties else ""
    told.print(f"Spent        {usd(standing.spent_usd)} USD{part}")
    told.print(f"Outstanding  {usd(standing.outstanding_usd)} USD for {len(standing.open)} orders")
    told.print(f"Time left    {left}")
    for budget in budgets:
        told.print(f"Budget       {budget}", markup=False)
    for reason in standing.waits:
        told.print(f"Waits        {reason}", markup=False)
    for warning in standing.warnings:
        told.print(f"Warning      {warning}", markup=False, style="yellow")
    for problem in standing.problems:
        told.print(f"Problem      {problem}", markup=False, style="red")


def _as_json(standing: Standing, label: str) -> dict[str, Any]:
    return {
        "ledger": label,
        "orders": [
            {"prompt_set": each.prompt_set, "state": each.state, "orders": each.orders, "usd": each.usd}
            for each in standing.counts
        ],
        "outstanding": [
            {
                "prompt_set": each.order.prompt_set,
                "partition": each.order.partition,
                "state": each.order.state,
                "task_id": each.order.task_id,
                "age_s": round(each.age.total_seconds()),
                "usd": each.usd,
            }
            for each in standing.open
        ],
        "spent_usd": standing.spent_usd,
        "penalties_usd": standing.penalties_usd,
        "outstanding_usd": standing.outstanding_usd,
        "time_left_s": None if standing.time_left is None else round(standing.time_left.total_seconds()),
        "waits": standing.waits,
        "problems": standing.problems,
        "warnings": standing.warnings,
    }
