"""Snapshots for tests, made without a ledger, a vendor, Dagster or S3."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from factories import NOW, POINTS, PREFIX, make_order

from seedance_dagster.api.wire import HistoryRow
from seedance_dagster.audit.compare import compare
from seedance_dagster.audit.findings import Finding
from seedance_dagster.audit.snapshots import (
    DagsterSnapshot,
    LedgerSnapshot,
    RecordedEvent,
    Scope,
    Snapshots,
    StorageSnapshot,
    VendorSnapshot,
)
from seedance_dagster.audit.storage import expected_manifest, media_of
from seedance_dagster.audit.weigh import weigh
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.storage.objects import ListedObject


def stored_order(order_id: int = 1, **fields: Any) -> Order:
    """Return an order whose video is in S3; keywords replace its fields."""
    identity = {name: fields[name] for name in ("prompt_set", "partition") if name in fields}
    return replace(make_order(order_id, state=State.STORED, **identity), **fields)


def row(order: Order | None = None, **fields: Any) -> HistoryRow:
    """Return a task in the vendor's history, of an order or of another program."""
    own: dict[str, Any] = {}
    if order is not None and order.task_id is not None:
        own = {"task_id": order.task_id, "created_at": order.vendor_created_at}
        own |= {"points": order.points_charged} if order.points_charged is not None else {}
    return HistoryRow(
        **{
            "task_id": "foreign",
            "task_type": "seedance-2-fast",
            "status": "finished",
            "points": POINTS,
            "created_at": NOW - timedelta(hours=1),
        }
        | own
        | fields
    )


def listed(order: Order) -> dict[str, ListedObject]:
    """Return an order's objects in a listing."""
    at = order.stored_at or NOW
    manifest = expected_manifest(order) or b""
    etag = hashlib.md5(manifest).hexdigest()
    objects = {media.key: ListedObject(media.size_bytes or 0, "", at) for media in media_of(order)}
    return objects | {str(order.manifest_key): ListedObject(len(manifest), etag, at)}


def expected(order: Order) -> dict[str, Any]:
    """Return the metadata that Dagster should have for a video."""
    return {
        "seedance/task_id": order.task_id,
        "seedance/points_consumed": order.points_charged,
        "seedance/fingerprint": order.fingerprint,
        "seedance/attempt": order.attempt,
        "seedance/prompt": order.request["prompt"],
        "seedance/size_bytes": order.size_bytes,
        "dagster/uri": f"s3://videos/{order.video_key}",
        "seedance/manifest_uri": f"s3://videos/{order.manifest_key}",
    }


def task_event_of(order: Order, **metadata: Any) -> RecordedEvent:
    """Return Dagster's event for an order's task."""
    known = {
        "seedance/task_id": order.task_id,
        "seedance/points_held": order.points_held or 0,
        "seedance/fingerprint": order.fingerprint,
        "seedance/attempt": order.attempt,
    }
    return RecordedEvent(
        prompt_set=order.prompt_set,
        partition=order.partition,
        at=order.submitted_at or NOW,
        metadata=known | metadata,
        data_version=f"{order.fingerprint}-a{order.attempt}",
    )


def event_of(order: Order, **fields: Any) -> RecordedEvent:
    """Return Dagster's event for an order."""
    return RecordedEvent(
        **{
            "prompt_set": order.prompt_set,
            "partition": order.partition,
            "at": order.stored_at or NOW,
            "metadata": expected(order),
            "data_version": order.sha256,
        }
        | fields
    )


def make_snapshots(orders: Iterable[Order] = (), **replaced: Any) -> Snapshots:
    """Return snapshots that agree about some orders, except for those that are passed in."""
    all_orders = tuple(orders)
    stored = [order for order in all_orders if order.state is State.STORED]
    tasks = [order for order in all_orders if order.task_id is not None]
    newest = {(order.prompt_set, order.partition): order.order_id for order in stored}
    links = {
        order.order_id: [Link(order.prompt_set, order.partition, order.order_id, Reported.STORED)]
        for order in all_orders
    }
    events = [event_of(order) for order in stored]
    made = Snapshots(
        **{
            "read_at": NOW,
            "ledger": LedgerSnapshot(
                orders=all_orders,
                owned_tasks=frozenset(str(order.task_id) for order in tasks),
                current_videos=newest,
                links=links,
            ),
            "vendor": VendorSnapshot(history={str(order.task_id): row(order) for order in tasks}),
            "storage": storage(stored),
            "dagster": DagsterSnapshot(
                newest={(event.prompt_set, event.partition): event for event in events},
                reported={str(event.task_id): event for event in events},
            ),
        }
        | replaced
    )
    task_events = {(order.prompt_set, order.partition): task_event_of(order) for order in tasks}
    return replace(made, dagster=replace(made.dagster, tasks=task_events))


def storage(orders: Iterable[Order], **fields: Any) -> StorageSnapshot:
    """Return a snapshot of S3 with the objects of some orders."""
    objects = {key: stored for order in orders for key, stored in listed(order).items()}
    return StorageSnapshot(**{"bucket": "videos", "prefix": PREFIX, "objects": objects} | fields)


def findings(snapshots: Snapshots, **scope: Any) -> list[Finding]:
    """Return all findings."""
    return list(compare(weigh(snapshots, Scope(**scope)), Scope(**scope), expected))


def kinds(snapshots: Snapshots, **scope: Any) -> list[str]:
    """Return the kinds of all findings."""
    return [finding.kind.value for finding in findings(snapshots, **scope)]
