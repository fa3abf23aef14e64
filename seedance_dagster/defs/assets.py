"""The three assets of a prompt set, in one step."""

from collections.abc import Generator, Iterator

import dagster as dg

from seedance_dagster.defs.configs import GenerationConfig
from seedance_dagster.defs.naming import PROMPTS, TASKS, VIDEOS, asset_key, partitions_def
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.resources import (
    LedgerResource,
    SeedanceResource,
    VideoStoreResource,
    open_services,
)
from seedance_dagster.defs.step_cleanup import StepCleanup
from seedance_dagster.defs.steps.metadata import StepEvent
from seedance_dagster.versions import CODE_VERSION

_DESCRIPTIONS = {
    PROMPTS: "Validated requests, each with its estimated cost. Costs nothing to materialize.",
    TASKS: "Accepted orders at the vendor. **Materializing costs money**; what exists is reused.",
    VIDEOS: "Finished videos in S3, each with its manifest, poster and cost. A run that selects this waits.",
}
_KINDS = {PROMPTS: {"yaml"}, TASKS: {"api"}, VIDEOS: {"s3", "mp4"}}
# A video hangs on its prompt too, so that an edit marks it Unsynced before a new task is there.
_UPSTREAM = {TASKS: (PROMPTS,), VIDEOS: (PROMPTS, TASKS)}


def build_set_assets(name: str, source: PromptSource) -> dg.AssetsDefinition:
    """The step that materializes a prompt set's assets.

    Args:
        name: The set's name.
        source: Where its prompts are read anew at each run.
    """

    @dg.multi_asset(
        name=f"{name}_generation",
        specs=[
            dg.AssetSpec(
                asset_key(name, asset),
                deps=[asset_key(name, upstream) for upstream in _UPSTREAM.get(asset, ())],
                description=description,
                group_name=name,
                kinds=_KINDS[asset],
                code_version=CODE_VERSION,
                skippable=True,
            )
            for asset, description in _DESCRIPTIONS.items()
        ],
        can_subset=True,
        partitions_def=partitions_def(name),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def generation(  # noqa: PLR0917  Dagster hands resources in by name
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        seedance: SeedanceResource,
        video_store: VideoStoreResource,
        ledger: LedgerResource,
        seedance_cleanup: dg.ResourceParam[StepCleanup],
    ) -> Iterator[StepEvent]:
        def events() -> Generator[StepEvent, None, None]:
            from seedance_dagster.defs.steps.failures import as_failure
            from seedance_dagster.defs.steps.generation import GenerationRun

            with as_failure():
                prompt_set = source.load_set(name)
                with open_services(context.instance, seedance, video_store, ledger) as services:
                    yield from GenerationRun(context, config, services, prompt_set).events()

        yield from seedance_cleanup.close_with_run(events())

    return generation
