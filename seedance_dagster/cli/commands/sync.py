"""`seedance-dagster sync`: Dagster's partitions as the prompt sets are, without waiting for the sensor."""

from __future__ import annotations

from dataclasses import asdict

import click

from seedance_dagster.cli.environ import project_environ
from seedance_dagster.cli.instance import dagster_of
from seedance_dagster.cli.output import console, print_json, table
from seedance_dagster.defs.steps.partitions import sync_all
from seedance_dagster.prompts import format_problems, load_prompt_sets
from seedance_dagster.settings import Settings


@click.command("sync")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, as_json: bool) -> None:
    """Make Dagster's partitions match the prompt sets; the sensor does the same within a minute.

    New prompts become partitions, prompts that are gone and were never ordered lose theirs, edited ones show
    as changed. Ends with status 1 when a prompt set has an error; the others are in step all the same.
    """
    environ = project_environ()
    environment = Settings.from_environ(environ)
    loaded = load_prompt_sets(environment.prompts)
    with dagster_of(environ) as instance, environment.services() as services:
        report = sync_all(instance, services.ledger, loaded.sets, services.prices)
    if as_json:
        print_json({**asdict(report), "problems": [str(problem) for problem in loaded.problems]})
    else:
        rows = table(
            "Partitions", ("Prompt set", "Added", "Removed", "Edited"), numbers=("Added", "Removed", "Edited")
        )
        for prompt_set in loaded.sets:
            changes = (report.added, report.removed, report.edited)
            rows.add_row(prompt_set.name, *(str(each.get(prompt_set.name, 0)) for each in changes))
        console().print(rows)
        if loaded.problems:
            click.echo(format_problems(loaded.problems), err=True)
    click.get_current_context().exit(1 if loaded.errors else 0)
