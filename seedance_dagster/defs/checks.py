"""The checks of a prompt set's videos, and the job and schedule that run them."""

from collections.abc import Iterable, Iterator

import dagster as dg

from seedance_dagster.defs.naming import CHECKS_JOB, VIDEOS, Names, asset_key, identifier
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.resources import services_of
from seedance_dagster.defs.video_checks import CHECKS

_DAILY = "30 5 * * *"


def build_set_checks(names: Names, name: str, source: PromptSource) -> dg.AssetChecksDefinition:
    """Build the checks of one prompt set; they read the ledger and a listing of S3, and cost nothing.

    Args:
        names: The names of resources.
        name: The set's name.
        source: Where its budgets are read.
    """

    @dg.multi_asset_check(
        name=f"{identifier(name)}_checks",
        description="Checks the videos of the prompt set. Costs nothing. The job seedance_check_videos runs "
        "for all sets daily.",
        specs=[
            dg.AssetCheckSpec(check_name, asset=asset_key(name, VIDEOS), description=check.description)
            for check_name, check in CHECKS.items()
        ],
        can_subset=True,
        required_resource_keys=names.services,
    )
    def checks(
        context: dg.AssetCheckExecutionContext,
    ) -> Iterator[dg.AssetCheckResult]:
        from seedance_dagster.defs.steps.binding import check_ledger
        from seedance_dagster.defs.steps.checks import check_results
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.engine.ordering.budget_check import budgets_for
        from seedance_dagster.engine.posters import cut_missing_posters

        with as_failure(), services_of(context, names) as services:
            check_ledger(context.instance, services.ledger, [name])
            set_budgets = next(
                (loaded.budgets for loaded in source.load(services.store).sets if loaded.name == name), {}
            )
            cut_missing_posters(services, name, actor=f"run {context.run.run_id}")
            selected = {key.name: CHECKS[key.name] for key in context.selected_asset_check_keys}
            yield from check_results(services, name, selected, budgets_for(services, name, set_budgets))

    return checks


def build_checks_schedule(names: Names, sets: Iterable[str]) -> dg.ScheduleDefinition:
    """Build the job that runs all checks, and its daily schedule, which is on by default.

    Args:
        names: The names of job and schedule.
        sets: The sets' names; checks of other assets in the code location are not run.
    """
    checks = [dg.AssetCheckKey(asset_key(name, VIDEOS), check_name) for name in sets for check_name in CHECKS]
    job = dg.define_asset_job(
        names(CHECKS_JOB),
        selection=dg.AssetSelection.checks(*checks),
        executor_def=dg.in_process_executor,
        description="Checks the videos of all prompt sets. Costs nothing.",
    )
    return dg.ScheduleDefinition(
        name=names(CHECKS_JOB),
        job=job,
        cron_schedule=_DAILY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Checks the videos of all prompt sets every day at 05:30 UTC. Costs nothing.",
    )
