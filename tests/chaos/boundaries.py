"""The boundaries at which a worker can be killed: exact points of its work, counted as they are passed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.stages import collect, download
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.placement import Orders
from seedance_dagster.ledger.reconciliation import Reconciliation
from seedance_dagster.ledger.reports import Reports
from seedance_dagster.ledger.work.claims import Claims
from seedance_dagster.ledger.work.tasks import Tasks
from seedance_dagster.storage.s3 import VideoStore


def _around(*writes: str) -> tuple[str, ...]:
    return tuple(f"{name}: {when} commit" for name in writes for when in ("before", "after"))


# Each life of a worker ends at a boundary of one group, so that late boundaries are reached too.
GROUPS = {
    "place": _around("orders.place"),
    "claim": _around("claims.take", "claims.mark_sent"),
    "file": ("file: before its upload", "file: uploaded"),
    "post": ("post: before it leaves", "post: on its way", "post: answered"),
    "answer": _around("tasks.submitted", "claims.requeue", "claims.mark_uncertain"),
    "poll": ("poll: before", "poll: answered", *_around("tasks.polled")),
    "end": _around("tasks.succeeded", "tasks.ended"),
    "download": (
        "download: before",
        "download: on its way",
        "download: done",
        *_around("tasks.transfer_failed"),
    ),
    "upload": ("upload: before", "upload: video there", "upload: poster there", "upload: manifest there"),
    "stored": _around("tasks.stored"),
    "event": ("event: before", "event: reported", *_around("reports.mark_reported")),
    "settle": (
        "history: read",
        *_around("claims.expire", "tasks.submitted", "reconciliation.requeue_absent", "tasks.release"),
    ),
}
_PARTS = {
    "claims": Claims,
    "orders": Orders,
    "reconciliation": Reconciliation,
    "reports": Reports,
    "tasks": Tasks,
}
_WRITES = sorted(
    {name.partition(":")[0] for group in GROUPS.values() for name in group if name.endswith("commit")}
)


@dataclass(frozen=True)
class Kill:
    """A SIGKILL at the n-th pass of a boundary by one process."""

    boundary: str
    nth: int


@dataclass(frozen=True)
class Life:
    """The plan for one life of a worker.

    Attributes:
        kills: Where it is killed, whichever comes first.
        disk_bytes: The size that none of its files can exceed, as on a full disk; None for no limit.
    """

    kills: tuple[Kill, ...] = ()
    disk_bytes: int | None = None


UNHARMED = Life()


class Trap:
    """A counter of passes that kills its own process at the first chosen one, after calling `record`."""

    def __init__(self, kills: Collection[Kill], record: Callable[[str], None]) -> None:
        self._kills = kills
        self._record = record
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def passing(self, boundary: str) -> None:
        if self.springs(boundary):
            self.spring(boundary)

    def springs(self, boundary: str) -> bool:
        with self._lock:
            self._passed[boundary] += 1
            return Kill(boundary, self._passed[boundary]) in self._kills

    def spring(self, boundary: str) -> None:
        self._record(boundary)
        os.kill(os.getpid(), signal.SIGKILL)


def set_trap(trap: Trap) -> None:
    """Wrap the product's methods in this process so that they count as boundaries."""
    _around_commits(trap)
    _around_calls(trap)
    _around_transfers(trap)
    _around_events(trap)


def _around_commits(trap: Trap) -> None:
    doing = threading.local()

    def naming(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            doing.name = name
            try:
                return method(*args, **kwargs)
            finally:
                doing.name = None

        return wrapped

    for name in _WRITES:
        part, method = name.split(".")
        setattr(_PARTS[part], method, naming(name, getattr(_PARTS[part], method)))
    writing = Database.writing

    @contextlib.contextmanager
    def trapped(self: Database) -> Iterator[Any]:
        name = getattr(doing, "name", None)
        with writing(self) as connection:
            yield connection
            trap.passing(f"{name}: before commit")
        trap.passing(f"{name}: after commit")

    Database.writing = trapped


def _around_calls(trap: Trap) -> None:
    create_task, get_task, history, upload = (
        SeedanceClient.create_task,
        SeedanceClient.get_task,
        SeedanceClient.history,
        SeedanceClient.upload,
    )

    async def uploading(self: SeedanceClient, file_name: str, content: bytes) -> str:
        trap.passing("file: before its upload")
        url = await upload(self, file_name, content)
        trap.passing("file: uploaded")
        return url

    async def creating(self: SeedanceClient, request: Any, **options: Any) -> Any:
        trap.passing("post: before it leaves")
        if trap.springs("post: on its way"):
            # Somewhere between the first byte out and the last byte in.
            asyncio.get_running_loop().call_later(random.uniform(0, 0.006), trap.spring, "post: on its way")
        task = await create_task(self, request, **options)
        trap.passing("post: answered")
        return task

    async def getting(self: SeedanceClient, task_id: str) -> Any:
        trap.passing("poll: before")
        task = await get_task(self, task_id)
        trap.passing("poll: answered")
        return task

    async def reading(self: SeedanceClient, **query: Any) -> Any:
        page = await history(self, **query)
        trap.passing("history: read")
        return page

    SeedanceClient.create_task, SeedanceClient.get_task = creating, getting
    SeedanceClient.history, SeedanceClient.upload = reading, uploading


def _around_transfers(trap: Trap) -> None:
    download_video, keep = collect.download_video, download._write
    put_file, put_bytes = VideoStore.put_file, VideoStore.put_bytes

    async def downloading(*args: Any, **kwargs: Any) -> Any:
        trap.passing("download: before")
        downloaded = await download_video(*args, **kwargs)
        trap.passing("download: done")
        return downloaded

    def keeping(*args: Any) -> None:
        keep(*args)
        trap.passing("download: on its way")

    def putting_file(self: VideoStore, *args: Any, **kwargs: Any) -> None:
        trap.passing("upload: before")
        put_file(self, *args, **kwargs)
        trap.passing("upload: video there")

    def putting_bytes(self: VideoStore, key: str, *args: Any, **kwargs: Any) -> None:
        put_bytes(self, key, *args, **kwargs)
        trap.passing(f"upload: {'poster' if key.endswith('.jpg') else 'manifest'} there")

    collect.download_video, download._write = downloading, keeping
    VideoStore.put_file, VideoStore.put_bytes = putting_file, putting_bytes


def _around_events(trap: Trap) -> None:
    event = Reporter.event

    def reporting(self: Reporter, engine_event: Any, links: Any = None) -> Iterator[Any]:
        trap.passing("event: before")
        for dagster_event in event(self, engine_event, links):
            yield dagster_event
            trap.passing("event: reported")  # Dagster has the event, the ledger has not recorded it yet

    Reporter.event = reporting
