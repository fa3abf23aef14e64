"""The asset `<set>/prompt_table`: the rows that another asset made, stored where ticks and runs read them."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from seedance_dagster.defs.from_asset import PROMPT_TABLE, ROWS_CHECK, PromptsFromAsset
from seedance_dagster.defs.naming import VIDEO_INPUTS, Names, asset_key, identifier
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.resources import services_of

READ_JOB = "seedance_read_prompts"

_DESCRIPTION = (
    "The prompts that {upstream} made, as they were read last. seedance_sensor has them read again whenever "
    "{upstream} is materialized. Costs nothing."
)
_CHECK = "Every row is a prompt that can be ordered. Rows that are not are left out."


def build_prompt_table(
    names: Names, name: str, table: PromptsFromAsset, source: PromptSource
) -> dg.AssetsDefinition:
    """Build the asset that reads the prompts of a set from another asset.

    Args:
        names: The names of resources.
        name: The set's full name.
        table: Where its prompts come from.
        source: Reads them afterwards, as ticks and runs do.
    """
    key, upstream = asset_key(name, PROMPT_TABLE), table.asset_key
    by_path = table.path_metadata is not None

    @dg.asset(
        key=key,
        deps=[upstream] if by_path else [],
        ins={} if by_path else {"value": dg.AssetIn(key=upstream)},
        description=_DESCRIPTION.format(upstream=upstream.to_user_string()),
        group_name=identifier(name),
        kinds={"json", "s3"},
        code_version=table.code_version,
        check_specs=[dg.AssetCheckSpec(ROWS_CHECK, asset=key, description=_CHECK)],
        required_resource_keys=names.services,
        io_manager_key=names(VIDEO_INPUTS),
    )
    def prompt_table(context: dg.AssetExecutionContext, **inputs: Any) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads it as it stands
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.defs.steps.prompt_table import read_prompt_table

        with as_failure(), services_of(context, names) as services:
            return read_prompt_table(context, services, source, name, table, inputs.get("value"))

    return prompt_table


def build_read_job(names: Names, keys: Sequence[dg.AssetKey]) -> Any:
    """Build the job that the sensor starts when an asset made new prompts."""
    return dg.define_asset_job(
        names(READ_JOB),
        selection=dg.AssetSelection.assets(*keys),
        description="Reads the prompts that other assets made. The sensor starts it. Costs nothing.",
    )
