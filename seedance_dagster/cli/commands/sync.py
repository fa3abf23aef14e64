"""`seedance-dagster sync`: updates Dagster's partitions from the prompt sets without the sensor."""

from __future__ import annotations

from dataclasses import asdict

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.instance import dagster_of
from seedance_dagster.cli.output import console, print_json, table
from seedance_dagster.defs.steps.partitions import sync_all
from seedance_dagster.engine.reference_contents import with_known_contents
from seedance_dagster.prompts import format_problems, load_prompt_sets


@click.command("sync")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, as_json: bool) -> None:
    """Update Dagster's partitions from the prompt sets now; the sensor does the same within a minute.

    New prompts become partitions, removed prompts that were never ordered lose theirs after a day, and edited
    prompts show as changed. Queued orders that no prompt asks for any more are withdrawn. The exit status is
    1 when a prompt set has an error; the other sets are updated.
    """
    settings = ledger_settings()
    loaded = load_prompt_sets(settings.prompts, prices=settings.prices)
    with dagster_of(settings) as instance, settings.services() as services:
        sets = [with_known_contents(services.ledger, prompt_set) for prompt_set in loaded.sets]
        now = services.clock()
        report = sync_all(instance, services.ledger, sets, loaded.catalog, now=now)
    if as_json:
        print_json({**asdict(report), "problems": [str(problem) for problem in loaded.problems]})
    else:
        rows = table(
            "Partitions", ("Prompt set", "Added", "Removed", "Edited"), numbers=("Added", "Removed", "Edited")
        )
        for prompt_set in loaded.sets:
            changes = (report.added, report.removed, report.edited)
            rows.add_row(prompt_set.name, *(str(counts.get(prompt_set.name, 0)) for counts in changes))
        console().print(rows)
        if loaded.problems:
            click.echo(format_problems(loaded.problems), err=True)
    click.get_current_context().exit(1 if loaded.errors else 0)
