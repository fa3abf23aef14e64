"""`seedance-dagster sync`: updates Dagster's partitions from the prompt sets without the sensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import click
from dagster import DagsterInstance

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import dagster_of, sentences_on_assets
from seedance_dagster.cli.output import console, print_json, table
from seedance_dagster.counting import counted
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.binding import check_ledger, rebind
from seedance_dagster.defs.steps.known_sets import sets_from_assets, sets_without_file
from seedance_dagster.defs.steps.partitions import SyncReport, sync_all
from seedance_dagster.defs.steps.prune import Pruned, leftovers, prune
from seedance_dagster.defs.steps.sources import claim_sources, take_sources
from seedance_dagster.engine.ordering.current import known_set
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.prompts import PromptSet, format_problems
from seedance_dagster.prompts.loading import LoadedPromptSets

_READ_BY_SENSOR = "materialize it, and seedance_sensor brings the partitions into sync within a tick"


@click.command(
    "sync",
    epilog=examples(
        "sync",
        "sync --use-this-ledger",
    ),
)
@click.option(
    "--use-this-ledger", is_flag=True, help="Let this ledger order for the sets from now on, as it is."
)
@click.option(
    "--use-these-prompts", is_flag=True, help="Read the sets from here from now on, where their files moved."
)
@click.option(
    "--prune",
    "pruning",
    is_flag=True,
    help="Remove the partitions of prompts that left their files, and withdraw their queued orders.",
)
@click.option("--yes", is_flag=True, help="Do not ask before any of these.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(
    *, use_this_ledger: bool, use_these_prompts: bool, pruning: bool, yes: bool, as_json: bool
) -> None:
    """Update Dagster's partitions from the prompt sets now; the sensor does the same within a minute.

    New prompts become partitions, removed prompts that were never ordered lose theirs after a day, and edited
    prompts show as changed. Queued orders that no prompt asks for any more are withdrawn. A prompt that was
    ordered keeps its partition when it leaves its file, and a set whose file is gone keeps its queued orders,
    until --prune removes them; videos always stay.

    Dagster's instance remembers which ledger orders for a set, how far it had come, and where the set is
    read. --use-this-ledger accepts another ledger, or an older copy; orders that it lacks are paid for again.
    --use-these-prompts accepts another folder or code location. The exit status is 1 when a prompt set has an
    error or belongs to another code location; the other sets are updated.
    """
    settings = ledger_settings()
    source = PromptSource(settings.prompts, prices=settings.prices, key_prefix=settings.key_prefix)
    loaded = source.load()
    names = sorted(source.places)
    with dagster_of(settings) as instance, settings.services() as services:
        if use_this_ledger:
            _use_ledger(instance, services.ledger, sorted({*names, *sets_from_assets(instance)}), yes=yes)
        if use_these_prompts:
            if not names:
                raise click.ClickException(f"nothing was changed\n{format_problems(loaded.problems)}")
            _use_prompts(instance, source.places, yes=yes)
        refused = claim_sources(instance, "", source.places)
        check_ledger(instance, services.ledger, source.places.keys() - refused.keys())
        own_sets = (prompt_set for prompt_set in loaded.sets if prompt_set.name not in refused)
        sets = [known_set(services.ledger, prompt_set) for prompt_set in own_sets]
        now = services.clock()
        report = sync_all(instance, services.ledger, sets, loaded.catalog, now=now)
        gone = sets_without_file(instance, source, loaded)
        elsewhere = sentences_on_assets(instance, _READ_BY_SENSOR)
        pruned = Pruned()
        if pruning:
            pruned = _prune(instance, services.ledger, loaded, sets, gone, yes=yes)
    problems = [*map(str, loaded.problems), *refused.values()]
    if as_json:
        print_json({**asdict(report), "gone": gone, "pruned": asdict(pruned), "problems": problems})
    else:
        _show(report, pruned, [prompt_set.name for prompt_set in sets])
        for name in gone if not pruning else ():
            click.echo(f"{name}: its prompt file is gone; --prune removes what it left behind", err=True)
        for sentence in elsewhere.values():
            click.echo(sentence, err=True)
        if loaded.problems:
            click.echo(format_problems(loaded.problems), err=True)
        for reason in refused.values():
            click.echo(reason, err=True)
    click.get_current_context().exit(1 if loaded.errors or refused else 0)


def _show(report: SyncReport, pruned: Pruned, names: Sequence[str]) -> None:
    columns = ("Added", "Removed", "Edited")
    rows = table("Partitions", ("Prompt set", *columns), numbers=columns)
    for name in names:
        changes = (report.added, report.removed, report.edited)
        rows.add_row(name, *(str(counts.get(name, 0)) for counts in changes))
    out = console()
    if names:
        out.print(rows)
    for sentence in () if pruned.partitions else report.kept_sentences:
        out.print(sentence, markup=False)
    for name, partitions in pruned.partitions.items():
        waiting = pruned.waiting[name]
        text = (
            f"{name}: {counted(partitions, 'partition was', 'partitions were')} removed, "
            f"{counted(pruned.withdrawn[name], 'queued order')} withdrawn"
        )
        if waiting:
            text += f"; {counted(waiting, 'partition stays', 'partitions stay')} until its video is stored"
        out.print(text, markup=False)


def _prune(
    instance: DagsterInstance,
    ledger: Ledger,
    loaded: LoadedPromptSets,
    sets: Sequence[PromptSet],
    gone: Sequence[str],
    *,
    yes: bool,
) -> Pruned:
    if loaded.errors:
        # A set whose file cannot be read would look like one whose file is gone.
        raise click.ClickException(
            "nothing was removed, since prompt files have errors; fix them first:\n"
            + format_problems(loaded.errors)
        )
    left = leftovers(instance, sets, gone)
    for name, keys in left.items():
        why = "its prompt file is gone" if name in gone else "their prompts left the file"
        click.echo(
            f"{name}: {counted(len(keys), 'partition')} will be removed, and queued orders withdrawn: {why}",
            err=True,
        )
    if left and not yes:
        click.confirm("Remove them? The videos stay in S3.", abort=True, err=True)
    return prune(instance, ledger, left, gone)


def _use_ledger(instance: DagsterInstance, ledger: Ledger, names: Sequence[str], *, yes: bool) -> None:
    click.echo(
        f"The ledger {ledger.label} (id {ledger.identity.ledger_id}) will order for {_listed(names)}, as it "
        "is. It does not know what another ledger, or a newer copy of this one, ordered and paid for: those "
        "prompts are ordered and paid for again. `seedance-dagster restore` avoids that.",
        err=True,
    )
    if not yes:
        click.confirm("Use this ledger?", abort=True, err=True)
    rebind(instance, ledger, names)


def _use_prompts(instance: DagsterInstance, places: Mapping[str, str], *, yes: bool) -> None:
    folders = ", ".join(sorted(set(places.values())))
    click.echo(
        f"{_listed(sorted(places))} will be read from {folders}. A code location that reads sets of these "
        "names from elsewhere is refused from now on.",
        err=True,
    )
    if not yes:
        click.confirm("Use these prompts?", abort=True, err=True)
    take_sources(instance, "", places)


def _listed(names: Sequence[str]) -> str:
    return f"the prompt sets {', '.join(names)}" if names else "no prompt set"
