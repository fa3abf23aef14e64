"""Vendor, S3 and Dagster, read whole before the ledger; large parts of them go to temporary files."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.audit.events import Orchestrator, with_events
from seedance_dagster.audit.snapshots import (
    DagsterSnapshot,
    RecordedEvent,
    Scope,
    StorageSnapshot,
    VendorSnapshot,
)
from seedance_dagster.audit.spill import Spill
from seedance_dagster.engine.reconcile.clocks import UNKNOWN
from seedance_dagster.engine.reconcile.history import read_rows
from seedance_dagster.engine.services import Services
from seedance_dagster.storage.keys import is_replaced, order_folder
from seedance_dagster.storage.objects import ListedObject
from seedance_dagster.threads import in_thread

READING = "Reading ledger, vendor, Dagster and S3"
STEPS = 4
_EMPTY_LEDGER = timedelta(days=30)  # how far to look back when there is no first order


class Progress(Protocol):
    """A function that shows the progress of a step."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show how much of a step is done."""
        ...


class Sources:
    """Vendor, S3 and Dagster at the time of an audit; `close` deletes the temporary files.

    Attributes:
        read_at: When reading began (UTC).
        vendor: The vendor's account.
        partitions: The number of partitions with a materialized video.
        objects: The number of objects in S3.
        replaced_objects: The number of those that earlier repairs replaced and kept.
    """

    def __init__(self, services: Services, orchestrator: Orchestrator, scope: Scope) -> None:
        self._services, self._orchestrator, self._scope = services, orchestrator, scope
        self.read_at = services.clock()
        self.vendor = VendorSnapshot()
        self.partitions = self.objects = self.replaced_objects = 0
        self._indexes: dict[str, RecordedEvent] = {}
        self._listed = Spill[tuple[str, ListedObject]]()  # by folder
        self._tasks = Spill[tuple[bool, RecordedEvent]]()  # by partition; True for an observation
        self._videos = Spill[RecordedEvent]()  # by partition

    def close(self) -> None:
        """Delete what was read."""
        for spill in (self._listed, self._tasks, self._videos):
            spill.close()

    async def read(self, progress: Progress, *, sets: Collection[str] = ()) -> None:
        """Read the three sources.

        Args:
            progress: Called with each source that was read.
            sets: Prompt sets whose events are read even where neither ledger nor S3 knows them.

        Raises:
            StoreError: S3 cannot be listed.
            LedgerError: The ledger cannot be read.
        """
        done = 0

        def one_more() -> None:
            nonlocal done
            done += 1
            progress(READING, done, STEPS)

        async def read_vendor() -> None:
            start = await in_thread(self._history_start)
            await self._read_vendor(start, self.read_at + timedelta(days=1))
            one_more()

        async def read_others() -> None:
            names = await in_thread(self._read_storage)
            one_more()
            await in_thread(self._read_dagster, names | set(sets))
            one_more()

        progress(READING, 0, STEPS)
        await asyncio.gather(read_vendor(), read_others())

    def storage(self, folders: Iterable[str], *, rest: bool = False) -> StorageSnapshot:
        """Return the objects in some folders; with `rest`, also in those that were never requested."""
        store = self._services.store
        objects = dict(self._listed.find(folders, rest=rest))
        return StorageSnapshot(bucket=store.bucket, prefix=store.prefix, objects=objects)

    def dagster(self, partitions: Iterable[tuple[str, str]], *, rest: bool = False) -> DagsterSnapshot:
        """Return the events of some partitions; with `rest`, also of those that were never requested."""
        keys = [partition_key(*partition) for partition in partitions]
        tasks: dict[tuple[str, str], RecordedEvent] = {}
        submitted: dict[str, RecordedEvent] = {}
        for is_observed, event in self._tasks.find(keys, rest=rest):
            partition = (event.prompt_set, event.partition)
            if not is_observed:
                tasks.setdefault(partition, event)
            if event.task_id is None:
                continue
            submitted.setdefault(event.task_id, event)
            shown = tasks.get(partition)
            if is_observed and shown and shown.task_id is None and _attempt(shown) == _attempt(event):
                tasks[partition] = event
        snapshot = DagsterSnapshot(tasks=tasks, submitted=submitted, indexes=self._indexes if rest else {})
        return with_events(snapshot, self._videos.find(keys, rest=rest))

    def reported_tasks(self) -> Iterable[tuple[str, str]]:
        """Yield the key of each partition with each task whose video was reported there."""
        return self._videos.tasks()

    def _history_start(self) -> datetime:
        """Return the earliest time at which an audited task can have been created."""
        if self._scope.since is not None:
            return self._scope.since - UNKNOWN
        first = self._services.ledger.queries.find(prompt_set=self._scope.prompt_set, limit=1)
        return first[0].ordered_at - UNKNOWN if first else self.read_at - _EMPTY_LEDGER

    async def _read_vendor(self, start: datetime, end: datetime) -> None:
        try:
            async with self._services.open_client() as client:
                history, problem = await read_rows(client, start, end)
        except SeedanceError as error:
            self.vendor = VendorSnapshot(problem=str(error))
        else:
            self.vendor = VendorSnapshot(history=history, problem=problem)

    def _read_storage(self) -> set[str]:
        """List S3; return the prompt sets that have a folder there."""
        names = set()
        for key, listed in self._services.store.iter_objects(self._scope.prompt_set or ""):
            self._listed.add(key.rpartition("/")[0], (key, listed))
            self.objects += 1
            self.replaced_objects += is_replaced(key)
            folder = order_folder(key)
            if folder is not None:
                names.add(folder.prompt_set)
        self._listed.seal()
        return names

    def _read_dagster(self, names: set[str]) -> None:
        """Read the events of the audited set, or else of all sets that ledger, S3 or the caller know."""
        source = self._orchestrator
        if self._scope.prompt_set is not None:
            names = {self._scope.prompt_set}
        else:
            names = names | {name for name, _ in self._services.ledger.workload.counts()}
        for is_observed, read in ((False, source.tasks), (True, source.submissions)):
            for event in (event for name in sorted(names) for event in read(name)):
                self._tasks.add(partition_key(event.prompt_set, event.partition), (is_observed, event))
        self._indexes = {name: index for name in sorted(names) if (index := source.index(name)) is not None}
        for event in (event for name in sorted(names) for event in source.materializations(name)):
            key = partition_key(event.prompt_set, event.partition)
            self._videos.add(key, event, task_id=event.task_id)
        self._tasks.seal()
        self._videos.seal()
        self.partitions = self._videos.count_keys()


def partition_key(prompt_set: str, partition: str) -> str:
    """Return a partition as one text."""
    return f"{prompt_set}/{partition}"


def _attempt(event: RecordedEvent) -> tuple[Any, Any]:
    """Return the attempt at a request that an event is about."""
    return event.metadata.get("seedance/fingerprint"), event.metadata.get("seedance/attempt")
