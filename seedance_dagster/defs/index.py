"""The asset `<set>/index`: one table of the set's videos."""

from typing import Any

import dagster as dg

from seedance_dagster.defs.naming import INDEX, VIDEO_INPUTS, VIDEOS, Names, asset_key, identifier
from seedance_dagster.defs.resources import services_of
from seedance_dagster.versions import CODE_VERSION

_DESCRIPTION = (
    "A table of the set's videos in S3, one row each, in a few Parquet files. It has prompt, parameters, "
    "tags, verdict, cost, location and checksum. Runs that store videos keep it up to date. Materializing "
    "it compares all of it with the ledger, and costs nothing."
)


def build_index_asset(names: Names, name: str) -> dg.AssetsDefinition:
    """Build the index asset of a prompt set."""

    @dg.asset(
        key=asset_key(name, INDEX),
        deps=[asset_key(name, VIDEOS)],
        description=_DESCRIPTION,
        group_name=identifier(name),
        kinds={"seedance", "s3", "parquet"},
        code_version=CODE_VERSION,
        required_resource_keys=names.services,
        io_manager_key=names(VIDEO_INPUTS),
    )
    def index(
        context: dg.AssetExecutionContext,
    ) -> dg.MaterializeResult[Any]:
        from seedance_dagster.defs.steps.binding import check_ledger
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.defs.steps.index import index_metadata
        from seedance_dagster.engine.indexing import IndexingError, refresh_index

        with as_failure(), services_of(context, names) as services:
            check_ledger(context.instance, services.ledger, [name])
            try:
                written = refresh_index(services, name, owner=f"run {context.run.run_id}", rebuild=True)
            except IndexingError as error:
                raise dg.Failure(str(error)) from None  # another run was writing: a retry may help
            assert written is not None
            return dg.MaterializeResult(
                metadata=index_metadata(written, services), data_version=dg.DataVersion(written.version)
            )

    return index
