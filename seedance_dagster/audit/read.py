"""Reading the four snapshots: the cheapest way of each first, the ledger last.

Whatever the other sources show is in the ledger by then, so nothing that arrives meanwhile looks unmatched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Protocol

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.audit.events import Orchestrator, with_events
from seedance_dagster.audit.records import read_journals
from seedance_dagster.audit.snapshots import (
    DagsterSnapshot,
    LedgerSnapshot,
    RecordedEvent,
    Scope,
    Snapshots,
    StorageSnapshot,
    VendorSnapshot,
)
from seedance_dagster.engine.indexing import is_due
from seedance_dagster.engine.journals import JournalReader
from seedance_dagster.engine.reconcile.clocks import UNKNOWN
from seedance_dagster.engine.reconcile.history import read_rows
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.storage.keys import order_folder
from seedance_dagster.threads import in_thread

READING = "Reading ledger, vendor, Dagster and S3"
_EMPTY_LEDGER = timedelta(days=30)  # how far to look back when there is no first order


class Progress(Protocol):
    """A function that shows the progress of a step."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show how much of a step is done."""
        ...


async def read_snapshots(
    services: Services,
    orchestrator: Orchestrator,
    scope: Scope,
    progress: Progress,
    *,
    sets: Collection[str] = (),
) -> Snapshots:
    """Read all four snapshots.

    Args:
        services: With ledger, vendor and S3.
        orchestrator: Dagster.
        scope: What is read of them.
        progress: Called with each snapshot that was read.
        sets: Prompt sets whose events are read even where neither ledger nor S3 knows them.

    Raises:
        StoreError: S3 cannot be listed.
        LedgerError: The ledger cannot be read.
    """
    read_at, done = services.clock(), 0

    def one_more() -> None:
        nonlocal done
        done += 1
        progress(READING, done, 4)

    async def read_vendor() -> VendorSnapshot:
        start = await in_thread(_history_start, services, scope, read_at)
        vendor = await _read_vendor(services, start, read_at + timedelta(days=1))
        one_more()
        return vendor

    async def read_others() -> tuple[StorageSnapshot, DagsterSnapshot]:
        storage = await in_thread(_read_storage, services, scope)
        one_more()
        dagster = await in_thread(_read_dagster, services.ledger, orchestrator, scope, storage, sets)
        one_more()
        return storage, dagster

    progress(READING, 0, 4)
    vendor, (storage, dagster) = await asyncio.gather(read_vendor(), read_others())
    others = {*vendor.history, *dagster.reported, *dagster.submitted}
    ledger = await in_thread(_read_ledger, services, scope, others)
    one_more()
    return Snapshots(read_at=read_at, ledger=ledger, vendor=vendor, storage=storage, dagster=dagster)


def _history_start(services: Services, scope: Scope, now: datetime) -> datetime:
    """Return the earliest time at which an audited task can have been created."""
    if scope.since is not None:
        return scope.since - UNKNOWN
    first = services.ledger.queries.find(prompt_set=scope.prompt_set, limit=1)
    return first[0].ordered_at - UNKNOWN if first else now - _EMPTY_LEDGER


async def _read_vendor(services: Services, start: datetime, end: datetime) -> VendorSnapshot:
    try:
        async with services.open_client() as client:
            history, problem = await read_rows(client, start, end)
    except SeedanceError as error:
        return VendorSnapshot(problem=str(error))
    return VendorSnapshot(history=history, problem=problem)


def _read_storage(services: Services, scope: Scope) -> StorageSnapshot:
    store = services.store
    return StorageSnapshot(
        bucket=store.bucket, prefix=store.prefix, objects=store.listing(scope.prompt_set or "")
    )


def _read_dagster(
    ledger: Ledger,
    orchestrator: Orchestrator,
    scope: Scope,
    storage: StorageSnapshot,
    sets: Collection[str],
) -> DagsterSnapshot:
    if scope.prompt_set is not None:
        names = {scope.prompt_set}
    else:
        folders = filter(None, map(order_folder, storage.objects))
        names = {name for name, _ in ledger.workload.counts()} | {folder.prompt_set for folder in folders}
        names |= set(sets)
    tasks: dict[tuple[str, str], RecordedEvent] = {}
    submitted: dict[str, RecordedEvent] = {}
    for event in (event for name in sorted(names) for event in orchestrator.tasks(name)):
        tasks.setdefault((event.prompt_set, event.partition), event)
        if event.task_id is not None:
            submitted.setdefault(event.task_id, event)
    for event in (event for name in sorted(names) for event in orchestrator.submissions(name)):
        if event.task_id is None:
            continue
        submitted.setdefault(event.task_id, event)
        shown = tasks.get((event.prompt_set, event.partition))
        if shown is not None and shown.task_id is None and _attempt(shown) == _attempt(event):
            tasks[event.prompt_set, event.partition] = event
    indexes = {name: index for name in sorted(names) if (index := orchestrator.index(name)) is not None}
    return with_events(
        DagsterSnapshot(tasks=tasks, submitted=submitted, indexes=indexes),
        (event for name in sorted(names) for event in orchestrator.materializations(name)),
    )


def _attempt(event: RecordedEvent) -> tuple[Any, Any]:
    """Return the attempt at a request that an event is about."""
    return event.metadata.get("seedance/fingerprint"), event.metadata.get("seedance/attempt")


def _read_ledger(services: Services, scope: Scope, task_ids: Collection[str]) -> LedgerSnapshot:
    ledger = services.ledger
    names = ledger.partitions.sets() if scope.prompt_set is None else {scope.prompt_set}
    videos = {name: ledger.videos.current(name) for name in sorted(names)}
    current = {(name, video.partition): video.order for name in videos for video in videos[name]}
    shown = {order.order_id: order for order in current.values()}
    ids = ledger.queries.ids(scope.prompt_set)
    others = ledger.queries.get_many(order_id for order_id in ids if order_id not in shown)
    # The videos first, which other sets may have made; none of them is read twice.
    orders = shown | {order.order_id: order for order in others}
    orders = {order_id: orders[order_id] for order_id in sorted(orders)}
    reader = JournalReader(ledger, lambda: services.store)
    missing = reader.read(ledger.repairs.missing_orders())
    journals = read_journals(reader, orders)
    own = {order.task_id for order in orders.values() if order.task_id is not None}
    return LedgerSnapshot(
        orders=tuple(orders.values()),
        missing_orders=tuple(MissingOrder.of(left.entries) for left in missing.values() if left.entries),
        owned_tasks=frozenset(own | ledger.reconciliation.owned_tasks(set(task_ids) - own)),
        current_videos={partition: order.order_id for partition, order in current.items()},
        links=ledger.partitions.links_of(orders),
        journal_problems=journals.problems,
        archived_entries=journals.archived_entries,
        archive_problems=reader.problems,
        indexes={name: shown for name, shown in videos.items() if shown and not is_due(services, name)},
    )
