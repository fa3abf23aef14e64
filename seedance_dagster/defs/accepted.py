"""The asset `<set>/accepted`: the videos that were accepted in review."""

from __future__ import annotations

import dagster as dg

from seedance_dagster.defs.naming import (
    ACCEPTED,
    VIDEO_INPUTS,
    VIDEOS,
    Names,
    asset_key,
    identifier,
    prompt_partitions,
)

_DESCRIPTION = (
    "The videos that were accepted in review, in the gallery or by seedance-dagster review. Verdicts "
    "materialize this asset, not a run. Assets downstream of it get accepted videos only."
)


def build_accepted_asset(names: Names, name: str) -> dg.AssetSpec:
    """Build the asset of a prompt set's accepted videos."""
    return dg.AssetSpec(
        asset_key(name, ACCEPTED),
        deps=[asset_key(name, VIDEOS)],
        description=_DESCRIPTION,
        group_name=identifier(name),
        kinds={"seedance", "s3", "mp4"},
        partitions_def=prompt_partitions(name),
    ).with_io_manager_key(names(VIDEO_INPUTS))
