"""`seedance-dagster status`: shows what is ordered, stored, outstanding and spent."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from seedance_dagster.api.limits import Limits
from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import unknown_ledger_reason
from seedance_dagster.cli.output import budgets_as_json, console, print_json, printable, span, table
from seedance_dagster.cli.status_report import StatusReport, read_status
from seedance_dagster.counting import counted
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.engine.ordering.budget_check import own_budgets
from seedance_dagster.engine.throttle import read_throttle
from seedance_dagster.ledger.budgets import BudgetUsage
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.money import format_usd

_SHOWN = 20


@click.command(
    "status",
    epilog=examples(
        "status",
        "status launch_spots --json",
    ),
)
@click.argument("prompt_set", required=False, metavar="[SET]")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, prompt_set: str | None, as_json: bool) -> None:
    """Show orders by state, money, what is outstanding and how long it may take, from the ledger.

    The exit status is 1 when something needs attention: a prompt without a video, a paid video that cannot be
    stored, a task that is very late, an order whose reply was lost, missing credits, a ledger that runs would
    refuse.
    """
    settings = ledger_settings()
    source = PromptSource(settings.prompts, prices=settings.prices, key_prefix=settings.key_prefix)
    loaded = source.load()
    sets = {prompt_set.name: prompt_set for prompt_set in loaded.sets}
    with contextlib.closing(Ledger.open(settings.ledger_url)) as ledger:
        now, policy = datetime.now(UTC), settings.policy()
        known = {name for name, _ in ledger.workload.counts()} | sets.keys()
        set_budgets = [
            budget
            for name, loaded in sets.items()
            if prompt_set in (None, name)
            for budget in own_budgets(name, loaded.budgets)
        ]
        budgets = ledger.budgets.usage([*policy.budgets, *set_budgets])
        report = read_status(
            ledger,
            now=now,
            throttle=read_throttle(ledger, policy, Limits.load(), now=now),
            stale_after=timedelta(seconds=policy.stale_after_s),
            prompt_set=prompt_set,
            budgets=budgets,
        )
        if refused := unknown_ledger_reason(settings, ledger):
            report = replace(report, problems=(refused, *report.problems))
        label = ledger.label
    if prompt_set is not None and prompt_set not in known:
        names = ", ".join(sorted(known)) or "none"
        raise click.ClickException(f"there is no prompt set {prompt_set}; known sets: {names}")
    if as_json:
        print_json(_as_json(report, label) | {"budgets": budgets_as_json(budgets)})
    else:
        _show(report, budgets, label)
    click.get_current_context().exit(1 if report.problems else 0)


def _show(report: StatusReport, budgets: Sequence[BudgetUsage], label: str) -> None:
    out = console()
    if report.counts:
        counts = table("Orders", ("Prompt set", "State", "Orders", "USD"), numbers=("Orders", "USD"))
        for count in report.counts:
            counts.add_row(count.prompt_set, count.state, str(count.orders), format_usd(count.usd))
        out.print(counts)
    else:
        out.print(f"Nothing has been ordered yet, according to the ledger {label}", markup=False)
    if report.open:
        oldest = table(
            f"Outstanding orders: {len(report.open)}, the oldest first",
            ("Prompt", "State", "Task", "Age", "USD"),
            numbers=("Age", "USD"),
        )
        for open_order in report.open[:_SHOWN]:
            order = open_order.order
            prompt = f"{order.prompt_set}/{order.partition}"
            oldest.add_row(
                prompt, order.state, order.task_id or "", span(open_order.age), format_usd(open_order.usd)
            )
        out.print(oldest)
    penalties = f", of which {format_usd(report.penalties_usd)} USD as penalties for rejected prompts"
    out.print(f"Spent        {format_usd(report.spent_usd)} USD{penalties if report.penalties_usd else ''}")
    if report.open:
        out.print(
            f"Outstanding  {format_usd(report.outstanding_usd)} USD for {counted(len(report.open), 'order')}"
        )
        out.print(f"Time left    {_time_left(report)}")
    for usage in budgets:
        out.print(f"Budget       {usage}", markup=False)
    for reason in report.waits:
        out.print(f"Waiting      {reason}", markup=False)
    # There may be thousands, and a styled line takes a millisecond.
    for warning in report.warnings:
        click.secho(f"Warning      {printable(warning)}", fg="yellow")
    for problem in report.problems:
        click.secho(f"Problem      {printable(problem)}", fg="red")


def _time_left(report: StatusReport) -> str:
    left, states = report.time_left, {open_order.order.state for open_order in report.open}
    if states == {State.UNCERTAIN}:
        return "unknown: these orders wait for reconciliation"
    if left is None:
        return "unknown until a video of this kind is stored"
    others = ", uncertain orders aside" if State.UNCERTAIN in states else ""
    return (f"about {span(left)}" if left else "rendered; the videos are being stored") + others


def _as_json(report: StatusReport, label: str) -> dict[str, Any]:
    return {
        "ledger": label,
        "orders": [vars(count) for count in report.counts],
        "outstanding": [
            {
                "prompt_set": open_order.order.prompt_set,
                "partition": open_order.order.partition,
                "state": open_order.order.state,
                "task_id": open_order.order.task_id,
                "age_s": round(open_order.age.total_seconds()),
                "usd": open_order.usd,
            }
            for open_order in report.open
        ],
        "spent_usd": report.spent_usd,
        "penalties_usd": report.penalties_usd,
        "outstanding_usd": report.outstanding_usd,
        "time_left_s": None if report.time_left is None else round(report.time_left.total_seconds()),
        "waits": report.waits,
        "problems": report.problems,
        "warnings": report.warnings,
    }
