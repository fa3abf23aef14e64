"""Writing indexes in the runs that stored videos, and the metadata of an index."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from seedance_dagster.defs.naming import INDEX, VIDEOS, asset_key, version_tags
from seedance_dagster.defs.steps.provenance import whole_input_tags
from seedance_dagster.defs.steps.spend_plot import spend_plot
from seedance_dagster.engine.indexing import IndexingError, WrittenIndex, refresh_index
from seedance_dagster.engine.newest_posters import newest_posters
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.set_spend import OrderSums
from seedance_dagster.money import points_to_usd
from seedance_dagster.net.redaction import redact, redact_url
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.index import COLUMNS

_SUMS = (dg.TableColumn("orders", "int"), dg.TableColumn("usd", "float"))
# An event should not grow without bounds.
_MAX_ROWS, _MAX_DAYS, _MAX_CHARACTERS = 50, 366, 80


def refreshed_indexes(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    services: Services,
    prompt_sets: Iterable[str],
    *,
    changed: Collection[str],
) -> Iterator[dg.AssetMaterialization]:
    """Bring indexes up to date and report those that changed; a failure is only a warning.

    Args:
        prompt_sets: Names of further sets to look at.
        changed: Sets to report in any case, so that the event points to the videos that this run reported.
    """
    for name in sorted({*prompt_sets, *changed}):
        owner = f"run {context.run.run_id}"
        try:
            written = refresh_index(services, name, owner=owner, force=name in changed)
            event = None if written is None else index_event(written, services, context.instance)
        except (IndexingError, StoreError, LedgerError) as error:
            context.log.warning(f"{name}/{INDEX} could not be updated; the next run tries again: {error}")
            continue
        if event is not None:
            yield event


def index_event(
    written: WrittenIndex, services: Services, instance: dg.DagsterInstance
) -> dg.AssetMaterialization:
    """Return the event of an index that was brought up to date."""
    return dg.AssetMaterialization(
        asset_key=asset_key(written.prompt_set, INDEX),
        metadata=index_metadata(written, services),
        tags=version_tags(written.version)
        | whole_input_tags(instance, asset_key(written.prompt_set, VIDEOS)),
    )


def index_metadata(written: WrittenIndex, services: Services) -> dict[str, Any]:
    """Return the metadata of a written index; raises `LedgerError`."""
    store = services.store
    total = sum(day.points for day in written.spend)
    spend = [
        dg.TableRecord({"day": f"{day.day}", "orders": day.orders, "usd": _usd(day.points)})
        for day in written.spend[-_MAX_DAYS:]
    ]
    columns = [dg.TableColumn("day"), *_SUMS]
    tags = [
        {"tag": tag[:_MAX_CHARACTERS], "value": _tag_value(value)} | sums
        for tag, by_value in written.by_tag.items()
        for value, sums in _most_expensive(by_value)
    ]
    metadata: dict[str, Any] = {
        "dagster/uri": dg.MetadataValue.path(store.uri(written.folder)),
        "dagster/row_count": written.videos,
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(column.name, column.type, column.description) for column in COLUMNS]
        ),
        "seedance/videos": written.videos,
        "seedance/videos_cost_usd": _usd(written.videos_points),
        "seedance/total_cost_usd": _usd(total),
        "seedance/total_points": total,
        "seedance/spend_by_day": dg.MetadataValue.table(spend, schema=dg.TableSchema(columns)),
        "seedance/spend_by_model": _table(
            [{"model": model or "", **sums} for model, sums in _most_expensive(written.by_model)], "model"
        ),
        "seedance/spend_by_run": _table(
            [{"run": run or "", **sums} for run, sums in _most_expensive(written.by_run)], "run"
        ),
        "seedance/size_bytes": written.size_bytes,
        "seedance/parts": written.parts,
        "seedance/parts_uri": dg.MetadataValue.path(store.uri(f"{written.folder}*{written.suffix}")),
        "seedance/manifest_uri": dg.MetadataValue.path(store.uri(written.manifest_key)),
        "seedance/version": written.version,
    }
    plot = spend_plot(written.spend)
    if plot is not None:
        metadata["seedance/spend_plot"] = dg.MetadataValue.md(plot)
    sheet = newest_posters(services, written.prompt_set)
    if sheet is not None:
        picture = base64.b64encode(sheet).decode()
        metadata["seedance/newest"] = dg.MetadataValue.md(
            f"![newest videos](data:image/jpeg;base64,{picture})"
        )
    if tags:
        metadata["seedance/spend_by_tag"] = _table(tags, "tag", "value")
    return metadata


def _most_expensive(sums: OrderSums) -> list[tuple[str | None, dict[str, Any]]]:
    """Return numbers of orders and their charges by key, the highest first, up to a limit."""
    highest = sorted(sums.items(), key=lambda item: -item[1].charged)[:_MAX_ROWS]
    return [(key, {"orders": total.orders, "usd": _usd(total.charged)}) for key, total in highest]


def _tag_value(value: str | None) -> str:
    """Return a tag's value without what may be a signature; an unset one differs from an empty one."""
    return "(none)" if value is None else str(redact(value, redact_url))[:_MAX_CHARACTERS]


def _table(rows: Sequence[Mapping[str, Any]], *keys: str) -> dg.TableMetadataValue:
    records = [dg.TableRecord(dict(row)) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([*map(dg.TableColumn, keys), *_SUMS]))


def _usd(points: int) -> float:
    return float(points_to_usd(points))
