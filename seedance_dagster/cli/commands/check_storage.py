"""`seedance-dagster check-storage`: tries all that the bucket must allow, before anything is paid for."""

from __future__ import annotations

from dataclasses import asdict

import click

from seedance_dagster.cli.environ import command_environ
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import console, print_json, printable, table
from seedance_dagster.settings import Settings
from seedance_dagster.storage.capabilities import Trial, examine, policy_json


@click.command("check-storage", epilog=examples("check-storage"))
@click.option("--policy", is_flag=True, help="Print the IAM policy that allows all of it, and try nothing.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.pass_context
def command(ctx: click.Context, *, policy: bool, as_json: bool) -> None:
    """Try all that the bucket must allow, with a file like a video, which is deleted afterwards.

    The exit status is 1 if videos could not be stored.
    """
    store = Settings.from_environ(command_environ()).open_store()
    if policy:
        click.echo(policy_json(store.bucket, store.prefix, store.client.meta.partition))
        return
    trials = examine(store)
    if as_json:
        print_json({"place": store.uri(store.prefix), "trials": [_as_json(trial) for trial in trials]})
    else:
        columns = ("capability", "result", "needed for", "details")
        rows = table(f"The store {store.uri(store.prefix)}", columns)
        for trial in trials:
            capability = trial.capability
            rows.add_row(capability.name, trial.verdict, capability.use, printable(trial.words))
        console().print(rows)
    if any(trial.blocks for trial in trials):
        ctx.exit(1)


def _as_json(trial: Trial) -> dict[str, object]:
    return {
        **asdict(trial.capability),
        "result": trial.verdict,
        "details": trial.words,
        "blocks": trial.blocks,
    }
