"""Dagster's tags for the upstream event that a materialization was made from.

For partitions Dagster decides "Unsynced" by a pointer to the upstream event, not by the data version alone:
an event without the pointer counts as made from an unknown version.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import islice

import dagster as dg

from seedance_dagster.defs.naming import DATA_VERSION_TAG

_INPUT_VERSION_TAG = "dagster/input_data_version"
_INPUT_POINTER_TAG = "dagster/input_event_pointer"
_NO_EVENT = "NULL"
_RECENT = 20  # versions of one partition that are searched; an order is rarely more than one behind
_TOGETHER = 50  # partitions whose events are looked up in one query


class UpstreamEvents:
    """The events that a step reports and that its later events point to.

    They are looked up many at a time: a query takes milliseconds.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._pointers: dict[tuple[dg.AssetKey, str, str], str] = {}  # by asset, partition and data version
        self._reported: defaultdict[dg.AssetKey, dict[str, None]] = defaultdict(dict)

    def add(self, asset: dg.AssetKey, partition: str) -> None:
        """Note an event that is being reported."""
        self._reported[asset][partition] = None

    def input_tags(self, upstream: dg.AssetKey, partition: str, data_version: str) -> dict[str, str]:
        """Return the tags of `input_tags`, from events that are looked up together."""
        key = (upstream, partition, data_version)
        if key not in self._pointers:
            self._look_up(upstream, partition)
        pointer = self._pointers.get(key)
        if pointer is None:  # of an older version
            return input_tags(self._instance, upstream, partition, data_version)
        return _tags(upstream, data_version, pointer)

    def _look_up(self, asset: dg.AssetKey, partition: str) -> None:
        """Find the newest events of a partition, and of others that were reported."""
        reported = self._reported[asset]
        reported.pop(partition, None)
        chosen = [partition, *islice(reported, _TOGETHER - 1)]
        for other in chosen[1:]:
            del reported[other]
        for record in _recent(self._instance, asset, chosen, _RECENT + 2 * len(chosen)):
            key = (asset, str(record.partition_key), str(_version(record)))
            self._pointers.setdefault(key, str(record.storage_id))


def input_tags(
    instance: dg.DagsterInstance, upstream: dg.AssetKey, partition: str, data_version: str
) -> dict[str, str]:
    """Return the tags for something made from one data version of an upstream partition.

    Args:
        data_version: The version that was used, which need not be the newest.
    """
    records = _recent(instance, upstream, [partition], _RECENT)
    matches = (str(record.storage_id) for record in records if _version(record) == data_version)
    # Point just before the oldest one searched: everything since is another version.
    pointer = next(matches, str(records[-1].storage_id - 1) if records else _NO_EVENT)
    return _tags(upstream, data_version, pointer)


def whole_input_tags(instance: dg.DagsterInstance, upstream: dg.AssetKey) -> dict[str, str]:
    """Return the tags for something made from all partitions of an asset, as reported until now."""
    records = instance.fetch_materializations(upstream, limit=1).records
    if not records:
        return _tags(upstream, _NO_EVENT, _NO_EVENT)
    return _tags(upstream, _version(records[0]) or _NO_EVENT, str(records[0].storage_id))


def newest_version(instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str) -> str | None:
    """Return the data version of a partition's newest materialization; None where there is none."""
    records = _recent(instance, asset, [partition], 1)
    return _version(records[0]) if records else None


def _tags(upstream: dg.AssetKey, data_version: str, pointer: str) -> dict[str, str]:
    name = upstream.to_user_string()
    return {f"{_INPUT_VERSION_TAG}/{name}": data_version, f"{_INPUT_POINTER_TAG}/{name}": pointer}


def _recent(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: Sequence[str], limit: int
) -> list[dg.EventLogRecord]:
    """Return the newest materializations of some partitions, the newest first."""
    record_filter = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=partitions)
    return list(instance.fetch_materializations(record_filter, limit=limit).records)


def _version(record: dg.EventLogRecord) -> str | None:
    event = record.asset_materialization
    return None if event is None else (event.tags or {}).get(DATA_VERSION_TAG)
