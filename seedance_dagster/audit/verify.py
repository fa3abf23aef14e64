"""Verification of what listings leave open: single tasks, objects, and the events of partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError, SeedanceError
from seedance_dagster.api.wire import Task
from seedance_dagster.audit import events, storage, vendor
from seedance_dagster.audit.events import Orchestrator, with_events
from seedance_dagster.audit.read import Progress
from seedance_dagster.audit.snapshots import (
    DagsterSnapshot,
    InspectedObject,
    Scope,
    Snapshots,
    StorageSnapshot,
    VendorSnapshot,
)
from seedance_dagster.audit.unmatched import unmatched_objects, unmatched_tasks
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.storage.s3 import StoreError, VideoStore
from seedance_dagster.threads import in_thread

MAX_TASKS = 1000
"""The most tasks that are read one by one; where more differ, they differ for one reason."""

_THREADS = 8  # fewer than the connections that a boto3 client keeps
_CONCURRENT_TASKS = 8


async def verify(
    snapshots: Snapshots, services: Services, orchestrator: Orchestrator, scope: Scope, progress: Progress
) -> Snapshots:
    """Return the snapshots with everything inspected that their listings left open.

    Raises:
        StoreError: S3 cannot be read.
    """
    storage = await in_thread(_verify_objects, snapshots, services.store, scope, progress)
    vendor = await _verify_tasks(snapshots, services, scope, progress)
    dagster = await in_thread(_verify_events, snapshots, orchestrator, scope)
    return replace(snapshots, storage=storage, vendor=vendor, dagster=dagster)


def _verify_objects(
    snapshots: Snapshots, store: VideoStore, scope: Scope, progress: Progress
) -> StorageSnapshot:
    verification = storage.Verification.union(
        [
            *(
                storage.objects_to_verify(order, snapshots.storage, deep=scope.deep)
                for order in snapshots.ledger.orders
                if scope.covers(order)
            ),
            _unmatched_objects(snapshots, deep=scope.deep),
        ]
    )
    return replace(snapshots.storage, inspected=dict(_inspect(store, verification, progress)))


def _unmatched_objects(snapshots: Snapshots, *, deep: bool) -> storage.Verification:
    """Return the objects that belong to no order: a manifest says whose they are."""
    paths = unmatched_objects(snapshots.ledger.orders, snapshots.storage)
    keys = frozenset(key for key in snapshots.storage.objects if key.rpartition("/")[0] in paths)
    manifests = frozenset(key for key in keys if key.endswith("/manifest.json"))
    return storage.Verification(read=manifests, hash=keys - manifests if deep else frozenset())


def _inspect(
    store: VideoStore, verification: storage.Verification, progress: Progress
) -> Iterator[tuple[str, InspectedObject | None]]:
    methods: dict[Callable[[VideoStore, str], InspectedObject], frozenset[str]] = {
        _check: verification.check,
        _hash: verification.hash,
        _read: verification.read,
    }
    total = sum(map(len, methods.values()))
    with ThreadPoolExecutor(_THREADS) as pool:
        running = {
            pool.submit(_or_missing, method, store, key): key
            for method, keys in methods.items()
            for key in keys
        }
        for done, future in enumerate(as_completed(running), 1):
            progress("Inspecting objects in S3", done, total)
            yield running[future], future.result()


def _or_missing(
    method: Callable[[VideoStore, str], InspectedObject], store: VideoStore, key: str
) -> InspectedObject | None:
    try:
        return method(store, key)
    except StoreError:
        if store.head(key) is None:
            return None
        raise


def _check(store: VideoStore, key: str) -> InspectedObject:
    info = store.head(key)
    known = None if info is None else info.metadata.get("sha256")
    return InspectedObject(sha256=known or store.digest(key))


def _hash(store: VideoStore, key: str) -> InspectedObject:
    return InspectedObject(sha256=store.digest(key))


def _read(store: VideoStore, key: str) -> InspectedObject:
    return InspectedObject(body=store.get_bytes(key))


async def _verify_tasks(
    snapshots: Snapshots, services: Services, scope: Scope, progress: Progress
) -> VendorSnapshot:
    snapshot = snapshots.vendor
    complete_since = snapshot.complete_since()
    wanted = [
        str(order.task_id)
        for order in snapshots.ledger.orders
        if scope.covers(order)
        and vendor.needs_verification(order, snapshot, complete_since=complete_since, deep=scope.deep)
    ]
    if any(order.state in (State.CLAIMED, State.UNCERTAIN) for order in snapshots.ledger.orders):
        wanted += unmatched_tasks(snapshots)
    chosen, left = wanted[:MAX_TASKS], wanted[MAX_TASKS:]
    if not chosen:
        return snapshot
    tasks: dict[str, Task | None] = {}
    problem = snapshot.problem
    queue = iter(enumerate(chosen, 1))

    async def read_tasks(client: SeedanceClient) -> None:
        for number, task_id in queue:
            try:
                tasks[task_id] = await client.get_task(task_id)
            except NotFoundError:
                tasks[task_id] = None
            progress("Reading tasks", number, len(chosen))

    try:
        async with services.open_client() as client, asyncio.TaskGroup() as group:
            for _ in range(_CONCURRENT_TASKS):
                group.create_task(read_tasks(client))
    except* SeedanceError as errors:
        problem = f"tasks cannot be read: {errors.exceptions[0]}"
    if left:
        problem = (
            f"{len(wanted)} tasks differ from the ledger in the history; {len(chosen)} of them were read"
        )
    unread = frozenset(left) | (set(chosen) - tasks.keys())
    return replace(snapshot, tasks=tasks, unread=unread, problem=problem)


def _verify_events(snapshots: Snapshots, orchestrator: Orchestrator, scope: Scope) -> DagsterSnapshot:
    snapshot = snapshots.dagster
    to_verify = events.partitions_to_verify(snapshots, scope, orchestrator.expected_metadata)
    for prompt_set, partitions in to_verify.items():
        chosen = sorted(partitions)
        snapshot = with_events(
            snapshot,
            orchestrator.materializations(prompt_set, chosen),
            orchestrator.observations(prompt_set, chosen),
        )
    return snapshot
