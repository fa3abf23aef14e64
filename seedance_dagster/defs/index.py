"""The asset `<set>/index`: the set's videos as one table, written anew by the runs that brought videos."""

from collections.abc import Collection, Iterator
from typing import Any

import dagster as dg

from seedance_dagster.api.prices import points_to_usd
from seedance_dagster.defs.failures import in_words
from seedance_dagster.defs.naming import INDEX, VIDEOS, asset_key, version_tags
from seedance_dagster.defs.provenance import whole_input_tags
from seedance_dagster.defs.resources import (
    LedgerResource,
    SeedanceResource,
    VideoStoreResource,
    open_services,
)
from seedance_dagster.generation.indexing import IndexingError, WrittenIndex, refresh_index
from seedance_dagster.generation.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.store.index import COLUMNS
from seedance_dagster.store.s3 import StoreError, VideoStore
from seedance_dagster.versions import CODE_VERSION

_DESCRIPTION = (
    "One row a video, as JSONL and Parquet in S3: text, parameters, tags, cost, place and checksum. "
    "Runs that bring videos keep it current; materializing writes it anew and costs nothing."
)


def build_index_asset(name: str) -> dg.AssetsDefinition:
    """The asset of a set's index.

    Args:
        name: The set's name.
    """

    @dg.asset(
        key=asset_key(name, INDEX),
        deps=[asset_key(name, VIDEOS)],
        description=_DESCRIPTION,
        group_name=name,
        kinds={"jsonl", "s3"},
        code_version=CODE_VERSION,
    )
    def index(
        context: dg.AssetExecutionContext,
        seedance: SeedanceResource,
        video_store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult[Any]:
        with in_words(), open_services(context.instance, seedance, video_store, ledger) as services:
            try:
                written = refresh_index(services, name, owner=f"run {context.run.run_id}", force=True)
            except IndexingError as error:
                raise dg.Failure(str(error)) from None
            assert written is not None
            return dg.MaterializeResult(
                metadata=_metadata(written, services.store), data_version=dg.DataVersion(written.sha256)
            )

    return index


def refreshed_indexes(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    services: Services,
    prompt_sets: Collection[str],
    *,
    changed: Collection[str],
) -> Iterator[dg.AssetMaterialization]:
    """Bring indexes in step and tell of those that were written; what fails is a warning, not the run's end.

    Args:
        context: Of the step.
        services: The engine's surroundings.
        prompt_sets: Names of the sets to look at.
        changed: Those to write in any case: events point to videos that this run told of.
    """
    for name in prompt_sets:
        owner = f"run {context.run.run_id}"
        try:
            written = refresh_index(services, name, owner=owner, force=name in changed)
        except (IndexingError, StoreError, LedgerError) as error:
            context.log.warning(
                f"{name}/{INDEX} was not brought up to date, the next run tries again: {error}"
            )
            continue
        if written is not None:
            yield dg.AssetMaterialization(
                asset_key=asset_key(name, INDEX),
                metadata=_metadata(written, services.store),
                tags=version_tags(written.sha256)
                | whole_input_tags(context.instance, asset_key(name, VIDEOS)),
            )


def _metadata(written: WrittenIndex, store: VideoStore) -> dict[str, Any]:
    total = sum(day.points for day in written.spend)
    spend = [
        dg.TableRecord({"day": f"{day.day}", "orders": day.orders, "usd": _usd(day.points)})
        for day in written.spend
    ]
    columns = [dg.TableColumn("day"), dg.TableColumn("orders", "int"), dg.TableColumn("usd", "float")]
    metadata: dict[str, Any] = {
        "dagster/uri": dg.MetadataValue.path(store.uri(written.key)),
        "dagster/row_count": written.videos,
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(column.name, column.type, column.about) for column in COLUMNS]
        ),
        "seedance/videos": written.videos,
        "seedance/videos_cost_usd": _usd(written.videos_points),
        "seedance/total_cost_usd": _usd(total),
        "seedance/total_points": total,
        "seedance/spend_by_day": dg.MetadataValue.table(spend, schema=dg.TableSchema(columns)),
        "seedance/size_bytes": written.size_bytes,
        "seedance/sha256": written.sha256,
    }
    if written.parquet_key is not None:
        metadata["seedance/parquet_uri"] = dg.MetadataValue.path(store.uri(written.parquet_key))
    return metadata


def _usd(points: int) -> float:
    return float(points_to_usd(points))
