"""The assets `prompts`, `tasks` and `videos` of a prompt set, materialized by one step."""

from collections.abc import Generator, Iterator, Sequence

import dagster as dg

from seedance_dagster.defs.configs import GenerationConfig
from seedance_dagster.defs.events import StepEvent
from seedance_dagster.defs.naming import (
    CLEANUP,
    PROMPTS,
    TASKS,
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

_DESCRIPTIONS = {
    # The UI cuts them at 100 characters in lists: the first sentence has to be enough.
    PROMPTS: "The checked request of each prompt, with its estimated cost. Materializing it costs nothing.",
    TASKS: "Costs money: orders each video from the video API. A video that exists or is on its way is "
    "reused. A run without videos returns at once; the sensor does the rest.",
    VIDEOS: "The finished videos in S3, each with manifest, poster and cost. A run that includes this asset "
    "orders the missing videos, waits for them, and fails at its end if one is still missing.",
}
_KINDS = {PROMPTS: {"seedance", "yaml"}, TASKS: {"seedance", "api"}, VIDEOS: {"seedance", "s3", "mp4"}}
# A video depends on its prompt too, so that an edit shows it as Unsynced before there is a new task.
_UPSTREAM = {TASKS: (PROMPTS,), VIDEOS: (PROMPTS, TASKS)}


MAX_PARTITIONS_PER_RUN = 250
"""Partitions of one run of a backfill: Dagster plans a run's partitions one by one before it starts."""


def build_set_assets(
    names: Names,
    name: str,
    source: PromptSource,
    *,
    max_partitions_per_run: int = MAX_PARTITIONS_PER_RUN,
    unattended_points: int | None = None,
    upstream: Sequence[dg.AssetKey] = (),
) -> dg.AssetsDefinition:
    """Build the step that materializes a prompt set's assets.

    Args:
        names: The names of resources.
        name: The set's name.
        source: Where each run reads its prompts.
        max_partitions_per_run: A backfill of more partitions becomes several runs.
        unattended_points: The most that a run started by an automation condition may spend, in points; None
            leaves that to the budgets.
        upstream: The assets from which its prompts are made.
    """
    deps = {PROMPTS: tuple(upstream)} | {
        asset: tuple(asset_key(name, parent) for parent in parents) for asset, parents in _UPSTREAM.items()
    }

    @dg.multi_asset(
        name=f"{identifier(name)}_generation",
        description="Orders videos, waits for them where videos is selected, and reports them to Dagster.",
        specs=[
            dg.AssetSpec(
                asset_key(name, asset),
                deps=deps[asset],
                description=description,
                group_name=identifier(name),
                kinds=_KINDS[asset],
                code_version=CODE_VERSION,
                skippable=True,
            ).with_io_manager_key(names(VIDEO_INPUTS))
            for asset, description in _DESCRIPTIONS.items()
        ],
        can_subset=True,
        required_resource_keys=names.services | {names(CLEANUP)},
        partitions_def=prompt_partitions(name),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run),
    )
    def generation(context: dg.AssetExecutionContext, config: GenerationConfig) -> Iterator[StepEvent]:
        def events() -> Generator[StepEvent, None, None]:
            from seedance_dagster.defs.steps.failures import as_failure
            from seedance_dagster.defs.steps.set_run import set_run_events

            with (
                as_failure(),
                services_of(context, names) as services,
            ):
                yield from set_run_events(context, config, services, source, name, unattended_points)

        cleanup: StepCleanup = getattr(context.resources, names(CLEANUP))
        yield from cleanup.close_with_run(events())

    return generation
