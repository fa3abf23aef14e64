"""The asset `<set>/dataset`: a version of the accepted videos as a table."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedance_dagster.defs.naming import ACCEPTED, DATASET, VIDEO_INPUTS, Names, asset_key, identifier
from seedance_dagster.defs.resources import services_of
from seedance_dagster.versions import CODE_VERSION

_DESCRIPTION = (
    "A version of the accepted videos, for training: Parquet tables in S3 with splits, captions, cost and "
    "hashes, one row for each video, and a dataset card. Materializing it costs nothing; each version is "
    "kept. Without accepted videos nothing is written. `seedance-dagster export` copies the videos too."
)


def build_dataset_asset(names: Names, name: str) -> dg.AssetsDefinition:
    """Build the dataset asset of a prompt set."""

    @dg.asset(
        key=asset_key(name, DATASET),
        deps=[asset_key(name, ACCEPTED)],
        description=_DESCRIPTION,
        group_name=identifier(name),
        kinds={"seedance", "parquet", "s3"},
        code_version=CODE_VERSION,
        required_resource_keys=names.services,
        io_manager_key=names(VIDEO_INPUTS),
    )
    def dataset(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        from seedance_dagster.defs.steps.binding import check_ledger
        from seedance_dagster.defs.steps.dataset import materialize_dataset
        from seedance_dagster.defs.steps.failures import as_failure

        with as_failure(), services_of(context, names) as services:
            check_ledger(context.instance, services.ledger, [name])
            yield from materialize_dataset(context, services, name)

    return dataset
