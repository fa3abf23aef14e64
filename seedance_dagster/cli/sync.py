"""`seedance-dagster sync`: Dagster's partitions as the prompt sets are, without waiting for the sensor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
import yaml
from dagster import DagsterError, DagsterInstance

from seedance_dagster.cli.output import console, say_json, table
from seedance_dagster.cli.surroundings import project_environ
from seedance_dagster.defs.environment import SeedanceEnvironment
from seedance_dagster.defs.partitions import sync_all
from seedance_dagster.prompts import format_problems, load_prompt_sets


@click.command("sync")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, as_json: bool) -> None:
    """Make Dagster's partitions match the prompt sets; the sensor does the same within a minute.

    New prompts become partitions, prompts that are gone and were never ordered lose theirs, edited ones show
    as changed. Ends with status 1 when a prompt set has an error; the others are in step all the same.
    """
    environ = project_environ()
    environment = SeedanceEnvironment.from_environ(environ)
    home = environ.get("DAGSTER_HOME")
    if not home or not Path(home).is_absolute() or not Path(home).is_dir():
        raise click.ClickException(
            "set DAGSTER_HOME to the folder, as an absolute path, of the Dagster that is to be synced"
        )
    loaded = load_prompt_sets(environment.prompts)
    try:
        with DagsterInstance.get() as instance, environment.services() as services:
            report = sync_all(instance, services.ledger, loaded.sets, services.prices)
    except (DagsterError, yaml.YAMLError) as error:
        raise click.ClickException(f"the Dagster in {home} cannot be used: {error}") from None
    if as_json:
        say_json({**asdict(report), "problems": [str(problem) for problem in loaded.problems]})
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
