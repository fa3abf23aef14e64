"""Snapshots made by hand, for what compares them without a ledger, a vendor, Dagster or S3."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ledger_states_support import NOW, make_order

from seedance_dagster.api.wire import HistoryRow
from seedance_dagster.audit.audit import compare
from seedance_dagster.audit.findings import Finding
from seedance_dagster.audit.manifests import expected_manifest
from seedance_dagster.audit.snapshots import (
    DagsterSnapshot,
    LedgerSnapshot,
    RecordedEvent,
    Scope,
    Snapshots,
    StorageSnapshot,
    VendorSnapshot,
)
from seedance_dagster.audit.storage import parts_of
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.storage.s3 import ListedObject

PREFIX = "seedance"
POINTS = 4_000_000


def stored_order(order_id: int = 1, **fields: Any) -> Order:
    """An order whose video is in S3."""
    made = make_order(order_id)
    where = {"prompt_set": made.prompt_set, "partition": made.partition} | {
        name: fields[name] for name in ("prompt_set", "partition") if name in fields
    }
    keys = object_keys(PREFIX, **where, fingerprint=made.fingerprint, attempt=1)
    return make_order(
        order_id,
        **{
            "state": State.STORED,
            "ordered_at": NOW - timedelta(hours=3),
            "booked_at": NOW - timedelta(hours=3),
            "vendor_created_at": NOW - timedelta(hours=3),
            "vendor_ended_at": NOW - timedelta(hours=2),
            "vendor_logs": [],
            "run_tags": {},
            "points_held": POINTS,
            "points_charged": POINTS,
            "video_key": keys.video,
            "poster_key": keys.poster,
            "manifest_key": keys.manifest,
            "size_bytes": 1000,
            "poster_size_bytes": 100,
            "sha256": f"{order_id:064x}",
            "delivered_sha256": f"{order_id:064x}",
            "poster_sha256": f"{order_id:063x}f",
            "duration_s": 4.0,
            "width": 864,
            "height": 480,
            "codec": "h264",
            "fps": 24.0,
            "package_version": "1",
            "code_version": "1",
            "stored_at": NOW - timedelta(hours=2),
            "reported": "stored",
        }
        | fields,
    )


def row(order: Order | None = None, **fields: Any) -> HistoryRow:
    """A task in the vendor's history, of an order or of nobody."""
    own: dict[str, Any] = {}
    if order is not None and order.task_id is not None:
        own = {"task_id": order.task_id, "created_at": order.vendor_created_at}
        own |= {"points": order.points_charged} if order.points_charged is not None else {}
    return HistoryRow(
        **{
            "task_id": "stranger",
            "task_type": "seedance-2-fast",
            "status": "finished",
            "points": POINTS,
            "created_at": NOW - timedelta(hours=1),
        }
        | own
        | fields
    )


def listed(order: Order) -> dict[str, ListedObject]:
    """An order's objects in a listing."""
    at = order.stored_at or NOW
    manifest = expected_manifest(order) or b""
    etag = hashlib.md5(manifest).hexdigest()
    found = {part.key: ListedObject(part.size_bytes or 0, "", at) for part in parts_of(order)}
    return found | {str(order.manifest_key): ListedObject(len(manifest), etag, at)}


def expected(order: Order) -> dict[str, Any]:
    """What Dagster should have been told."""
    return {"seedance/task_id": order.task_id, "seedance/points_consumed": order.points_charged}


def telling(order: Order, **fields: Any) -> RecordedEvent:
    """What Dagster was told of an order."""
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


def books(orders: Iterable[Order] = (), **replaced: Any) -> Snapshots:
    """Four books that agree about some orders, except for those that are given."""
    found = tuple(orders)
    stored = [order for order in found if order.state is State.STORED]
    tasks = [order for order in found if order.task_id is not None]
    newest = {(order.prompt_set, order.partition): order.order_id for order in stored}
    tellings = [telling(order) for order in stored]
    return Snapshots(
        **{
            "read_at": NOW,
            "ledger": LedgerSnapshot(
                orders=found,
                owned_tasks=frozenset(str(order.task_id) for order in tasks),
                current_videos=frozenset(newest.values()),
            ),
            "vendor": VendorSnapshot(rows={str(order.task_id): row(order) for order in tasks}),
            "storage": storage(stored),
            "dagster": DagsterSnapshot(
                newest={(each.prompt_set, each.partition): each for each in tellings},
                told={str(each.task_id): each for each in tellings},
            ),
        }
        | replaced
    )


def storage(orders: Iterable[Order], **fields: Any) -> StorageSnapshot:
    """S3 with the objects of some orders."""
    objects = {key: found for order in orders for key, found in listed(order).items()}
    return StorageSnapshot(**{"bucket": "videos", "prefix": PREFIX, "objects": objects} | fields)


def found(given: Snapshots, **scope: Any) -> list[Finding]:
    """All findings."""
    return list(compare(given, Scope(**scope), expected))


def kinds(given: Snapshots, **scope: Any) -> list[str]:
    """The kinds of all findings."""
    return [each.kind.value for each in found(given, **scope)]
