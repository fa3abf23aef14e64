"""Verification of what listings leave open: single tasks, objects, and the events of partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError, SeedanceError
from seedance_dagster.api.wire import Task
from seedance_dagster.audit import assets, events, storage, vendor
from seedance_dagster.audit.events import Orchestrator, with_events
from seedance_dagster.audit.facts import manifest_facts
from seedance_dagster.audit.records import read_journals
from seedance_dagster.audit.snapshots import (
    DagsterSnapshot,
    InspectedObject,
    LedgerSnapshot,
    Scope,
    Snapshots,
    StorageSnapshot,
    VendorSnapshot,
)
from seedance_dagster.audit.sources import Progress
from seedance_dagster.audit.storage import Verification
from seedance_dagster.audit.unmatched import find_unmatched, unmatched_objects, unmatched_tasks
from seedance_dagster.counting import counted
from seedance_dagster.engine.journals import JournalReader
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.s3 import VideoStore
from seedance_dagster.threads import in_thread

MAX_TASKS = 1000
"""The most tasks that are read one by one; where more differ, they probably share one reason."""

_THREADS = 8  # fewer than the connections that a boto3 client keeps
_CONCURRENT_TASKS = 8


async def verify(
    snapshots: Snapshots, services: Services, orchestrator: Orchestrator, scope: Scope, progress: Progress
) -> Snapshots:
    """Return the snapshots with everything inspected that their listings left open.

    Raises:
        StoreError: S3 cannot be read.
    """
    storage = await in_thread(verify_objects, snapshots, services.store, scope, progress)
    snapshots = replace(snapshots, storage=storage)
    vendor = await verify_tasks(snapshots, services, scope, progress)
    dagster = await in_thread(_verify_events, snapshots, orchestrator, scope)
    ledger = await in_thread(_verify_journals, snapshots.ledger, services)
    return replace(snapshots, vendor=vendor, dagster=dagster, ledger=ledger)


def verify_objects(
    snapshots: Snapshots, store: VideoStore, scope: Scope, progress: Progress
) -> StorageSnapshot:
    """Return the snapshot of S3 with everything inspected that its listing left open; raise `StoreError`."""
    to_verify = _unmatched_objects(snapshots, deep=scope.deep)
    for order in snapshots.ledger.orders:
        if scope.covers(order):
            to_verify |= storage.objects_to_verify(order, snapshots.storage, deep=scope.deep)
    to_verify |= assets.indexes_to_verify(snapshots)
    return replace(snapshots.storage, inspected=dict(inspect_objects(store, to_verify, progress)))


def _verify_journals(snapshot: LedgerSnapshot, services: Services) -> LedgerSnapshot:
    """Read journals again that do not lead to their orders' states: these may have moved on meanwhile."""
    doubtful = {
        order.order_id: order for order in snapshot.orders if order.order_id in snapshot.journal_problems
    }
    journals = read_journals(JournalReader(services.ledger, lambda: services.store), doubtful)
    current = services.ledger.queries.get_many(doubtful)
    unchanged = {order.order_id for order in current if order.state is doubtful[order.order_id].state}
    problems = {order_id: text for order_id, text in journals.problems.items() if order_id in unchanged}
    return replace(snapshot, journal_problems=problems)


def _unmatched_objects(snapshots: Snapshots, *, deep: bool) -> dict[str, Verification]:
    """Return the objects to verify that belong to no order; a manifest says whose they are."""
    paths = unmatched_objects(snapshots.ledger.orders, snapshots.storage)
    keys = [key for key in snapshots.storage.objects if key.rpartition("/")[0] in paths]
    manifests = {key: Verification.READ for key in keys if key.endswith("/manifest.json")}
    return (dict.fromkeys(keys, Verification.HASH) if deep else {}) | manifests


def inspect_objects(
    store: VideoStore, to_verify: Mapping[str, Verification], progress: Progress
) -> Iterator[tuple[str, InspectedObject | None]]:
    """Yield the key of each object with its inspection; None for one that is gone."""
    methods = {Verification.CHECK: _check, Verification.HASH: _hash, Verification.READ: _read}
    with ThreadPoolExecutor(_THREADS) as pool:
        running = {
            pool.submit(_or_missing, methods[verification], store, key): key
            for key, verification in to_verify.items()
        }
        for done, future in enumerate(as_completed(running), 1):
            progress("Inspecting objects in S3", done, len(running))
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


async def verify_tasks(
    snapshots: Snapshots, services: Services, scope: Scope, progress: Progress
) -> VendorSnapshot:
    """Return the snapshot of the vendor with the tasks read that its history left open."""
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
    wanted = list(dict.fromkeys([*wanted, *_doubtful_tasks(snapshots, scope)]))
    most = len(wanted) if scope.deep else MAX_TASKS
    chosen, left = wanted[:most], wanted[most:]
    if not chosen:
        return snapshot
    tasks, unreadable = await read_tasks(services, chosen, progress)
    problem = unreadable or snapshot.problem
    if left:
        problem = (
            f"{counted(len(wanted), 'task')} differ from the ledger in the history; "
            f"{len(chosen)} of them were read"
        )
    unread = frozenset(left) | (set(chosen) - tasks.keys())
    return replace(snapshot, tasks=tasks, unread=unread, problem=problem)


async def read_tasks(
    services: Services, task_ids: Sequence[str], progress: Progress
) -> tuple[dict[str, Task | None], str | None]:
    """Read tasks one by one; return them by id, None for an unknown one, and the reason for unread ones."""
    tasks: dict[str, Task | None] = {}
    queue = iter(enumerate(task_ids, 1))

    async def read(client: SeedanceClient) -> None:
        for number, task_id in queue:
            try:
                tasks[task_id] = await client.get_task(task_id)
            except NotFoundError:
                tasks[task_id] = None
            progress("Reading tasks", number, len(task_ids))

    problem = None
    try:
        async with services.open_client() as client, asyncio.TaskGroup() as group:
            for _ in range(_CONCURRENT_TASKS):
                group.create_task(read(client))
    except* SeedanceError as errors:
        problem = f"tasks cannot be read: {errors.exceptions[0]}"
    return tasks, problem


def _doubtful_tasks(snapshots: Snapshots, scope: Scope) -> Iterator[str]:
    """Yield the tasks of orders that disagree with their manifests, and of missing orders."""
    for order in snapshots.ledger.orders:
        inspected = snapshots.storage.inspected.get(storage.manifest_key(order, snapshots.storage))
        if not scope.covers(order) or inspected is None or inspected.body is None:
            continue
        if inspected.body != storage.expected_manifest(order):
            yield from filter(None, (order.task_id, manifest_facts(inspected.body).get("task_id")))
    for missing_order in find_unmatched(snapshots, scope).missing_orders:
        yield from filter(None, [missing_order.task_id])


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
