"""Dagster's tags for the upstream event that a materialization was made from.

For partitions Dagster decides "Unsynced" by a pointer to the upstream event, not by the data version alone:
an event without the pointer counts as made from an unknown version.
"""

from __future__ import annotations

import dagster as dg

from seedance_dagster.defs.naming import DATA_VERSION_TAG

_INPUT_VERSION_TAG = "dagster/input_data_version"
_INPUT_POINTER_TAG = "dagster/input_event_pointer"
_NO_EVENT = "NULL"
_RECENT = 20  # versions of one partition that are searched; an order is rarely more than one behind

Pointers = dict[tuple[dg.AssetKey, str, str], str]
"""Storage ids of upstream events, by asset, partition and data version."""


def input_tags(
    instance: dg.DagsterInstance,
    upstream: dg.AssetKey,
    partition: str,
    data_version: str,
    pointers: Pointers | None = None,
) -> dict[str, str]:
    """Return the tags for something made from one data version of an upstream partition.

    Args:
        data_version: The version that was used, which need not be the newest.
        pointers: Events that were found before; those found now are added.
    """
    name = upstream.to_user_string()
    wanted = (upstream, partition, data_version)
    return {
        f"{_INPUT_VERSION_TAG}/{name}": data_version,
        f"{_INPUT_POINTER_TAG}/{name}": _pointer(instance, wanted, {} if pointers is None else pointers),
    }


def whole_input_tags(instance: dg.DagsterInstance, upstream: dg.AssetKey) -> dict[str, str]:
    """Return the tags for something made from all partitions of an asset, as reported until now."""
    records = instance.fetch_materializations(upstream, limit=1).records
    name = upstream.to_user_string()
    return {
        f"{_INPUT_VERSION_TAG}/{name}": (_version(records[0]) if records else None) or _NO_EVENT,
        f"{_INPUT_POINTER_TAG}/{name}": str(records[0].storage_id) if records else _NO_EVENT,
    }


def newest_version(instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str) -> str | None:
    """Return the data version of a partition's newest materialization; None where there is none."""
    records = _recent(instance, asset, partition, 1)
    return _version(records[0]) if records else None


def _pointer(instance: dg.DagsterInstance, wanted: tuple[dg.AssetKey, str, str], pointers: Pointers) -> str:
    if wanted in pointers:
        return pointers[wanted]
    asset, partition, data_version = wanted
    records = _recent(instance, asset, partition, _RECENT)
    for record in records:
        if _version(record) == data_version:
            pointers[wanted] = str(record.storage_id)
            return pointers[wanted]
    # Point just before the oldest one searched: everything since is another version.
    return str(records[-1].storage_id - 1) if records else _NO_EVENT


def _recent(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str, limit: int
) -> list[dg.EventLogRecord]:
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition])
    return list(instance.fetch_materializations(wanted, limit=limit).records)


def _version(record: dg.EventLogRecord) -> str | None:
    event = record.asset_materialization
    return None if event is None else (event.tags or {}).get(DATA_VERSION_TAG)
