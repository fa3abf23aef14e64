"""Writing a version of a set's dataset, and its metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedance_dagster.datasets.export.clips import COLUMNS, content_version
from seedance_dagster.datasets.export.errors import NothingAcceptedError
from seedance_dagster.datasets.export.export import export
from seedance_dagster.datasets.export.parquet import LINK
from seedance_dagster.datasets.export.plan import Format, Selection, plan_export, select_accepted
from seedance_dagster.datasets.export.s3_destination import S3Destination
from seedance_dagster.datasets.export.splits import DEFAULT_SPLITS, Splits
from seedance_dagster.engine.services import Services
from seedance_dagster.money import points_to_usd
from seedance_dagster.storage.keys import dataset_folder


def materialize_dataset(
    context: dg.AssetExecutionContext, services: Services, prompt_set: str
) -> Iterator[dg.MaterializeResult[Any]]:
    """Write the accepted videos of a set as tables, in a folder of their version.

    Yields:
        The result, with 0 videos if none is accepted: a backfill fails where an asset is not materialized.

    Raises:
        ExportError: pyarrow is not installed, or the folder holds something else.
        StoreError: The bucket cannot be written, or its prefix belongs to another ledger.
        LedgerError: The ledger cannot be read.
    """
    try:
        selection = select_accepted(services.ledger, services.store, prompt_set, Splits.parse(DEFAULT_SPLITS))
    except NothingAcceptedError as error:
        context.log.warning(f"no dataset was written: {error}")
        yield dg.MaterializeResult(
            metadata={"dagster/row_count": 0, "seedance/videos": 0},
            data_version=dg.DataVersion(content_version([])),
        )
        return
    services.claim_prefix()
    destination = S3Destination(services.store.below(dataset_folder(prompt_set, selection.version)))
    export(plan_export(selection, Format.PARQUET), destination)
    yield dg.MaterializeResult(
        metadata=_metadata(selection, str(destination)), data_version=dg.DataVersion(selection.version)
    )


def _metadata(selection: Selection, uri: str) -> dict[str, Any]:
    figures, clips = selection.figures, selection.clips
    per_clip = figures.points_per_accepted
    columns = [dg.TableColumn(column.name, column.type, column.description) for column in (*COLUMNS, LINK)]
    metadata = {
        "dagster/uri": dg.MetadataValue.path(uri),
        "dagster/row_count": len(clips),
        "dagster/column_schema": dg.TableSchema(columns),
        "seedance/version": selection.version,
        "seedance/videos": len(clips),
        "seedance/splits": {split: len(members) for split, members in selection.splits.items()},
        "seedance/duration_s": sum(clip.row["duration_s"] or 0.0 for clip in clips),
        "seedance/size_bytes": sum(clip.size_bytes for clip in clips),
        "seedance/total_cost_usd": float(points_to_usd(figures.points)),
        "seedance/cost_per_accepted_usd": None if per_clip is None else float(points_to_usd(per_clip)),
        "seedance/accepted_share": figures.yield_share,
        "seedance/discarded_share": figures.discarded_share,
        "seedance/rejected_share": figures.rejected_share,
    }
    return {name: value for name, value in metadata.items() if value is not None}
