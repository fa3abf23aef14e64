"""A closer look at what the listings leave unclear: tasks by themselves, objects, events of partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError, SeedanceError
from seedance_dagster.api.wire import Task
from seedance_dagster.audit import events, storage, vendor
from seedance_dagster.audit.events import Orchestrator, with_tellings
from seedance_dagster.audit.read import Progress
from seedance_dagster.audit.snapshots import (
    DagsterSnapshot,
    Scope,
    Seen,
    Snapshots,
    StorageSnapshot,
    VendorSnapshot,
)
from seedance_dagster.audit.unmatched import unexplained_folders, unexplained_tasks
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.storage.s3 import StoreError, VideoStore
from seedance_dagster.threads import in_thread

MOST_TASKS = 1000
"""So many tasks are read by themselves; where more differ, the reason is one, and a few tell it."""

_THREADS = 8  # under the connections that a boto3 client keeps
_TASKS_AT_ONCE = 8


async def verify(
    books: Snapshots, services: Services, orchestrator: Orchestrator, scope: Scope, progress: Progress
) -> Snapshots:
    """The books with everything looked at that their listings left unclear.

    Raises:
        StoreError: S3 cannot be read.
    """
    seen = await in_thread(_objects, books, services.store, scope, progress)
    tasks = await _tasks(books, services, scope, progress)
    events = await in_thread(_events, books, orchestrator, scope)
    return replace(books, storage=seen, vendor=tasks, dagster=events)


def _objects(books: Snapshots, store: VideoStore, scope: Scope, progress: Progress) -> StorageSnapshot:
    book, orders = books.storage, books.ledger.orders
    look = storage.Verification.together(
        [
            *(
                storage.needs_verification(order, book, deep=scope.deep)
                for order in orders
                if scope.covers(order)
            ),
            _strange_objects(books, deep=scope.deep),
        ]
    )
    seen = dict(_looked_at(store, look, progress))
    return replace(book, seen=seen)


def _strange_objects(books: Snapshots, *, deep: bool) -> storage.Verification:
    """What lies in folders that no order explains: a manifest tells whose it is."""
    paths = unexplained_folders(books.ledger.orders, books.storage)
    keys = frozenset(key for key in books.storage.objects if key.rpartition("/")[0] in paths)
    manifests = frozenset(key for key in keys if key.endswith("/manifest.json"))
    return storage.Verification(read=manifests, hash=keys - manifests if deep else frozenset())


def _looked_at(
    store: VideoStore, look: storage.Verification, progress: Progress
) -> Iterator[tuple[str, Seen | None]]:
    ways: dict[Callable[[VideoStore, str], Seen], frozenset[str]] = {
        _checked: look.check,
        _hashed: look.hash,
        _read: look.read,
    }
    total = sum(map(len, ways.values()))
    with ThreadPoolExecutor(_THREADS) as pool:
        running = {
            pool.submit(_or_missing, way, store, key): key for way, keys in ways.items() for key in keys
        }
        for done, future in enumerate(as_completed(running), 1):
            progress("Looking at objects", done, total)
            yield running[future], future.result()


def _or_missing(way: Callable[[VideoStore, str], Seen], store: VideoStore, key: str) -> Seen | None:
    try:
        return way(store, key)
    except StoreError:
        if store.head(key) is None:
            return None
        raise


def _checked(store: VideoStore, key: str) -> Seen:
    found = store.head(key)
    known = None if found is None else found.metadata.get("sha256")
    return Seen(sha256=known or store.digest(key))


def _hashed(store: VideoStore, key: str) -> Seen:
    return Seen(sha256=store.digest(key))


def _read(store: VideoStore, key: str) -> Seen:
    return Seen(body=store.get_bytes(key))


async def _tasks(books: Snapshots, services: Services, scope: Scope, progress: Progress) -> VendorSnapshot:
    book = books.vendor
    listed_from = book.listed_from()
    wanted = [
        str(order.task_id)
        for order in books.ledger.orders
        if scope.covers(order)
        and vendor.needs_verification(order, book, listed_from=listed_from, deep=scope.deep)
    ]
    if any(order.state in (State.CLAIMED, State.UNCERTAIN) for order in books.ledger.orders):
        wanted += unexplained_tasks(books)
    looked, left = wanted[:MOST_TASKS], wanted[MOST_TASKS:]
    if not looked:
        return book
    tasks: dict[str, Task | None] = {}
    doubt = book.doubt
    turns = iter(enumerate(looked, 1))

    async def read_some(client: SeedanceClient) -> None:
        for number, task_id in turns:
            try:
                tasks[task_id] = await client.get_task(task_id)
            except NotFoundError:
                tasks[task_id] = None
            progress("Reading tasks", number, len(looked))

    try:
        async with services.open_client() as client, asyncio.TaskGroup() as group:
            for _ in range(_TASKS_AT_ONCE):
                group.create_task(read_some(client))
    except* SeedanceError as errors:
        doubt = f"tasks cannot be read: {errors.exceptions[0]}"
    unread = frozenset(left) | (set(looked) - tasks.keys())
    if left:
        doubt = f"{len(wanted)} tasks differ from the ledger in the history, {len(looked)} of them were read"
    return replace(book, tasks=tasks, unread=unread, doubt=doubt)


def _events(books: Snapshots, orchestrator: Orchestrator, scope: Scope) -> DagsterSnapshot:
    book = books.dagster
    for name, partitions in events.needs_verification(books, scope, orchestrator.expected).items():
        chosen = sorted(partitions)
        book = with_tellings(book, orchestrator.told(name, chosen), orchestrator.observed(name, chosen))
    return book
