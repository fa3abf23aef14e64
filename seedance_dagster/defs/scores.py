"""The asset `<set>/scores`, its checks, and the job `seedance_score` that keeps it up to date."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import dagster as dg

from seedance_dagster.defs.events import StepEvent
from seedance_dagster.defs.jobs import Resources
from seedance_dagster.defs.naming import (
    CLEANUP,
    SCORE_JOB,
    SCORES,
    VIDEO_INPUTS,
    VIDEOS,
    Names,
    asset_key,
    identifier,
    prompt_partitions,
)
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.resources import services_of
from seedance_dagster.defs.step_cleanup import StepCleanup
from seedance_dagster.versions import CODE_VERSION

if TYPE_CHECKING:
    from seedance_dagster.scores.plan import ScorePlan

_DESCRIPTION = (
    "The scores of each video: {scores}. seedance_score measures new videos. Materializing it measures again "
    "what failed, and costs nothing."
)


def build_scores_asset(
    names: Names, plan: "ScorePlan", source: PromptSource, *, max_partitions_per_run: int
) -> dg.AssetsDefinition:
    """Build the asset of a set's scores.

    Args:
        names: The names of resources.
        plan: The set's scores.
        source: Where each run reads the set's scores.
        max_partitions_per_run: A backfill of more partitions becomes several runs.
    """
    name = plan.prompt_set
    spec = dg.AssetSpec(
        asset_key(name, SCORES),
        deps=[asset_key(name, VIDEOS)],
        description=_DESCRIPTION.format(scores=", ".join(score.name for score in plan.scores)),
        group_name=identifier(name),
        kinds={"seedance"},
        code_version=CODE_VERSION,
        skippable=True,
    )

    @dg.multi_asset(
        name=f"{identifier(name)}_scores",
        description="Measures videos, and reports their scores to Dagster.",
        specs=[spec.with_io_manager_key(names(VIDEO_INPUTS))],
        required_resource_keys=names.services | {names(CLEANUP)},
        partitions_def=prompt_partitions(name),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run),
    )
    def scores(context: dg.AssetExecutionContext) -> Iterator[StepEvent]:
        def events() -> Generator[StepEvent, None, None]:
            from seedance_dagster.defs.steps.admission import admitted_run
            from seedance_dagster.defs.steps.failures import as_failure
            from seedance_dagster.defs.steps.scores import partition_events

            with (
                as_failure(),
                services_of(context, names) as services,
                admitted_run(context, services.ledger, source, name),
            ):
                yield from partition_events(context, services, source, name)

        cleanup: StepCleanup = getattr(context.resources, names(CLEANUP))
        yield from cleanup.close_with_run(events())

    return scores


def build_score_checks(names: Names, plan: "ScorePlan", source: PromptSource) -> dg.AssetChecksDefinition:
    """Build the checks of a set's scores, which read the ledger and measure nothing."""
    from seedance_dagster.scores.checks import checks_of

    name = plan.prompt_set

    @dg.multi_asset_check(
        name=f"{identifier(name)}_score_checks",
        description="Checks the scores of the prompt set. Costs nothing, and measures nothing.",
        specs=[
            dg.AssetCheckSpec(check, asset=asset_key(name, SCORES), description=description)
            for check, description in checks_of(plan).items()
        ],
        can_subset=True,
        required_resource_keys=names.services,
    )
    def score_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        from seedance_dagster.defs.steps.binding import check_ledger
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.defs.steps.score_checks import check_results

        with as_failure(), services_of(context, names) as services:
            check_ledger(context.instance, services.ledger, [name])
            selected = {key.name for key in context.selected_asset_check_keys}
            current = source.plans([source.load_set(name, services.store)]).get(name, plan)
            yield from (
                result for result in check_results(services, current) if result.check_name in selected
            )

    return score_checks


def build_score_job(names: Names, source: PromptSource, resources: Resources) -> dg.JobDefinition:
    """Build the job `seedance_score` with its resources."""

    @dg.op(
        name=names("score"),
        out={},
        required_resource_keys=names.services | {names(CLEANUP)},
        description="Measures the videos that lack scores, for all prompt sets. Costs nothing.",
    )
    def score_op(context: dg.OpExecutionContext) -> Iterator[StepEvent]:
        def events() -> Generator[StepEvent, None, None]:
            from seedance_dagster.defs.steps.admission import admitted_sets
            from seedance_dagster.defs.steps.failures import as_failure
            from seedance_dagster.defs.steps.scores import due_events

            with (
                as_failure(),
                services_of(context, names) as services,
                admitted_sets(context, services.ledger, source) as refused,
            ):
                yield from due_events(context, services, source, refused)

        cleanup: StepCleanup = getattr(context.resources, names(CLEANUP))
        yield from cleanup.close_with_run(events())

    @dg.job(
        name=names(SCORE_JOB),
        executor_def=dg.in_process_executor,
        resource_defs=resources,
        description="Measures the videos that lack scores, for all prompt sets with scores, and accepts "
        "videos by the sets' rules. The sensor starts it. Costs nothing.",
    )
    def seedance_score() -> None:
        score_op()

    return seedance_score
