"""Reading the four books: the cheapest way of each first, the ledger last.

Whatever the others show is in the ledger by then, so that nothing which came meanwhile looks like a stranger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.audit.events import Orchestrator, with_tellings
from seedance_dagster.audit.snapshots import (
    DagsterSnapshot,
    LedgerSnapshot,
    Scope,
    Snapshots,
    StorageSnapshot,
    VendorSnapshot,
)
from seedance_dagster.engine.reconcile.history import all_rows
from seedance_dagster.engine.reconcile.matching import CLOCK_SKEW
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.storage.keys import order_folder
from seedance_dagster.threads import in_thread

_EMPTY_LEDGER = timedelta(days=30)  # how far to look back when there is no order to begin with


class Progress(Protocol):
    """Hears how far a step is."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """So much of a step is done."""
        ...


async def read_snapshots(
    services: Services, orchestrator: Orchestrator, scope: Scope, progress: Progress
) -> Snapshots:
    """Read all four.

    Args:
        services: The engine's surroundings.
        orchestrator: Dagster.
        scope: What is audited.
        progress: Hears of each book that was read.

    Raises:
        StoreError: S3 cannot be listed.
        LedgerError: The ledger cannot be read.
    """
    read_at, books = services.clock(), 0

    def one_more() -> None:
        nonlocal books
        books += 1
        progress("Reading the books", books, 4)

    async def vendor() -> VendorSnapshot:
        start = await in_thread(_start, services, scope, read_at)
        found = await _read_vendor(services, start, read_at + timedelta(days=1))
        one_more()
        return found

    async def others() -> tuple[StorageSnapshot, DagsterSnapshot]:
        storage = await in_thread(_read_storage, services, scope)
        one_more()
        dagster = await in_thread(_read_dagster, services.ledger, orchestrator, scope, storage)
        one_more()
        return storage, dagster

    progress("Reading the books", 0, 4)
    vendor_book, (storage_book, dagster_book) = await asyncio.gather(vendor(), others())
    named = {*vendor_book.rows, *dagster_book.told}
    ledger_book = await in_thread(_read_ledger, services.ledger, scope, named)
    one_more()
    return Snapshots(
        read_at=read_at, ledger=ledger_book, vendor=vendor_book, storage=storage_book, dagster=dagster_book
    )


def _start(services: Services, scope: Scope, now: datetime) -> datetime:
    """Since when tasks can be this audit's."""
    if scope.since is not None:
        return scope.since - CLOCK_SKEW
    first = services.ledger.queries.find(prompt_set=scope.prompt_set, limit=1)
    return first[0].ordered_at - CLOCK_SKEW if first else now - _EMPTY_LEDGER


async def _read_vendor(services: Services, start: datetime, end: datetime) -> VendorSnapshot:
    try:
        async with services.open_client() as client:
            rows, doubt = await all_rows(client, start, end)
    except SeedanceError as error:
        return VendorSnapshot(doubt=str(error))
    return VendorSnapshot(rows=rows, doubt=doubt)


def _read_storage(services: Services, scope: Scope) -> StorageSnapshot:
    store = services.store
    return StorageSnapshot(
        bucket=store.bucket, prefix=store.prefix, objects=store.listing(scope.prompt_set or "")
    )


def _read_dagster(
    ledger: Ledger, orchestrator: Orchestrator, scope: Scope, storage: StorageSnapshot
) -> DagsterSnapshot:
    if scope.prompt_set is not None:
        names = {scope.prompt_set}
    else:
        folders = filter(None, map(order_folder, storage.objects))
        names = {name for name, _ in ledger.workload.counts()} | {folder.prompt_set for folder in folders}
    return with_tellings(
        DagsterSnapshot(), (telling for name in sorted(names) for telling in orchestrator.told(name))
    )


def _read_ledger(ledger: Ledger, scope: Scope, named: Collection[str]) -> LedgerSnapshot:
    orders = tuple(ledger.queries.find(prompt_set=scope.prompt_set))
    own = {order.task_id for order in orders if order.task_id is not None}
    return LedgerSnapshot(
        orders=orders,
        removed=tuple(ledger.repairs.missing_orders()),
        owned_tasks=frozenset(own | ledger.reconciliation.owned_tasks(set(named) - own)),
        current_videos=frozenset(
            order.order_id
            for name in {order.prompt_set for order in orders}
            for order in ledger.videos.current(name)
        ),
    )
