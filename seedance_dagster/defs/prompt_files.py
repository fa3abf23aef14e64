"""The asset `seedance_prompt_files`: the prompt files as they were read last, and their check."""

from collections.abc import Collection

import dagster as dg

from seedance_dagster.defs.naming import FILES_CHECK, STORE, Names
from seedance_dagster.defs.prompt_source import PromptSource

_CHECK = "Every prompt file can be read, and every prompt in it can be ordered."


def build_prompt_files(
    names: Names, source: PromptSource, declared: Collection[str]
) -> tuple[dg.AssetSpec, dg.AssetChecksDefinition]:
    """Build the asset that shows the prompt files, which the sensor observes, and its check.

    Args:
        source: Where the prompt sets are read.
        declared: The names of the sets that the code location has assets for.
    """
    key = names.files_key(source.key_prefix)
    spec = dg.AssetSpec(
        key,
        description="The prompt files with their sets, videos and problems, and whether each is loaded or "
        "waits for a reload. seedance_sensor observes it whenever one of them changes.",
        group_name="seedance",
        kinds={"yaml"},
    )

    @dg.asset_check(
        asset=key,
        name=FILES_CHECK,
        description=f"{_CHECK} Costs nothing.",
        required_resource_keys={names(STORE)},
    )
    def prompt_files_readable(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.defs.steps.prompt_files import check_result

        with as_failure():
            store = getattr(context.resources, names(STORE)).open_store()
            return check_result(source.load(store), declared)

    return spec, prompt_files_readable
