"""The judgement on Dagster's events: each stored video has one that agrees with ledger and manifest."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from seedance_dagster.audit.snapshots import NOT_SUBMITTED
from seedance_dagster.defs.naming import TASKS, VIDEOS, asset_key
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.money import points_to_usd

if TYPE_CHECKING:
    from chaos.evidence import Evidence


def judge_events(evidence: Evidence, folder: Path) -> Iterator[str]:
    """Yield a message for each difference between Dagster's events and the truth.

    Args:
        evidence: The evidence of the round.
        folder: Dagster's home.
    """
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        for order in evidence.orders:
            if order.state is State.STORED:
                for link in evidence.links[order.order_id]:
                    if _has_removal(evidence, order, link, ended=(State.FAILED, State.REJECTED)):
                        continue  # the video without the watermark is shown
                    yield from _of_video(instance, evidence, order, link)
                    if not _has_removal(evidence, order, link):  # else the newest task is the removal's
                        yield from _of_task(instance, order, link)


def _has_removal(evidence: Evidence, order: Order, link: Link, *, ended: Collection[State] = ()) -> bool:
    """Return True if an order removes the watermark for the partition, in none of the `ended` states."""
    return any(
        removal.source_order_id == order.order_id
        and removal.state not in ended
        and link.partition in {other.partition for other in evidence.links[removal.order_id]}
        for removal in evidence.orders
    )


def _of_video(instance: dg.DagsterInstance, evidence: Evidence, order: Order, link: Link) -> Iterator[str]:
    metadata = _newest(instance, VIDEOS, link)
    manifest = json.loads(evidence.objects[str(order.manifest_key)])
    uri = f"s3://{evidence.store.bucket}/"
    wanted = {
        "dagster/uri": uri + manifest["video_key"],
        "seedance/manifest_uri": uri + str(order.manifest_key),
        "seedance/task_id": manifest["task_id"],
        "seedance/fingerprint": manifest["fingerprint"],
        "seedance/attempt": manifest["attempt"],
        "seedance/points_consumed": manifest["points_charged"],
        "seedance/cost_usd": float(points_to_usd(order.video_points or 0)),
        "seedance/size_bytes": manifest["size_bytes"],
        "seedance/sha256": manifest["sha256"],
        "seedance/duration_s": manifest["duration_s"],
    }
    yield from _differences(link, VIDEOS, metadata, wanted)


def _of_task(instance: dg.DagsterInstance, order: Order, link: Link) -> Iterator[str]:
    metadata = _newest(instance, TASKS, link)
    if metadata is not None and metadata.get("seedance/task_id") == NOT_SUBMITTED:
        metadata = _submission(instance, link, metadata) or metadata
    wanted = {
        "seedance/task_id": order.task_id,
        "seedance/fingerprint": order.fingerprint,
        "seedance/attempt": order.attempt,
    }
    yield from _differences(link, TASKS, metadata, wanted)


def _newest(instance: dg.DagsterInstance, asset: str, link: Link) -> dict[str, Any] | None:
    records_filter = dg.AssetRecordsFilter(
        asset_key=asset_key(link.prompt_set, asset), asset_partitions=[link.partition]
    )
    records = instance.fetch_materializations(records_filter, limit=1).records
    event = records[0].asset_materialization if records else None
    return None if event is None else {name: value.value for name, value in event.metadata.items()}


def _submission(instance: dg.DagsterInstance, link: Link, ordered: dict[str, Any]) -> dict[str, Any] | None:
    """Return the observed submission of an order whose task was materialized before it existed."""
    records_filter = dg.AssetRecordsFilter(
        asset_key=asset_key(link.prompt_set, TASKS), asset_partitions=[link.partition]
    )
    for record in instance.fetch_observations(records_filter, limit=100).records:
        event = record.event_log_entry.asset_observation
        assert event is not None
        metadata = {name: value.value for name, value in event.metadata.items()}
        if "seedance/points_held" in metadata and all(
            metadata.get(name) == ordered.get(name) for name in ("seedance/fingerprint", "seedance/attempt")
        ):
            return metadata
    return None


def _differences(
    link: Link, asset: str, metadata: dict[str, Any] | None, wanted: dict[str, Any]
) -> Iterator[str]:
    name = f"{link.prompt_set}/{asset} {link.partition}"
    if metadata is None:
        yield f"{name}: order {link.order_id} is stored and was not reported"
        return
    for key, value in wanted.items():
        if metadata.get(key) != value:
            yield f"{name}: {key} is {metadata.get(key)} in Dagster, but should be {value}"
