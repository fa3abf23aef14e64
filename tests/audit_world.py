"""A whole audit without servers: a real ledger, and a vendor, a store and a Dagster in memory."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

from audit_snapshots import event_of, expected, row, stored_order, task_event_of
from factories import NOW, PREFIX, Clock, make_request, make_task, open_ledger
from stores import MemoryStore

from seedance_dagster.api.errors import NotFoundError
from seedance_dagster.api.wire import GenerationRequest, HistoryPage, HistoryRow, Task, TaskStatus
from seedance_dagster.audit.audit import Audit, audit
from seedance_dagster.audit.findings import Finding
from seedance_dagster.audit.repair import RepairResult, repair
from seedance_dagster.audit.snapshots import RecordedEvent, Scope
from seedance_dagster.audit.sources import READING
from seedance_dagster.audit.storage import expected_manifest
from seedance_dagster.engine.indexing import WrittenIndex, refresh_index
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, Reported
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.storage.keys import object_keys

VIDEO, POSTER = b"video", b"poster"


@dataclass
class FakeVendor:
    """A vendor with a history and tasks that is also its own client."""

    rows: dict[str, HistoryRow] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    requested: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    windows: list[tuple[datetime, datetime]] = field(default_factory=list)
    account_name: str = "account"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def history(
        self, *, start: datetime, end: datetime, page: int = 1, page_size: int = 100
    ) -> HistoryPage:
        self.windows.append((start, end))
        if "history" in self.fails:
            raise self.fails["history"]
        rows = list(self.rows.values())
        return HistoryPage(rows=tuple(rows[(page - 1) * page_size : page * page_size]), total=len(rows))

    async def get_task(self, task_id: str) -> Task:
        self.requested.append(task_id)
        if "task" in self.fails:
            raise self.fails["task"]
        if task_id not in self.tasks:
            raise NotFoundError("no such task")
        return self.tasks[task_id]


@dataclass
class FakeDagster:
    """An orchestrator that remembers its events."""

    events: list[RecordedEvent] = field(default_factory=list)
    task_events: list[RecordedEvent] = field(default_factory=list)
    task_observations: list[RecordedEvent] = field(default_factory=list)
    verdict_events: list[RecordedEvent] = field(default_factory=list)
    indexes: dict[str, RecordedEvent] = field(default_factory=dict)
    reported_again: list[int] = field(default_factory=list)

    def materializations(
        self, prompt_set: str, partitions: Sequence[str] | None = None
    ) -> Iterator[RecordedEvent]:
        for event in reversed(self.events):
            if event.prompt_set == prompt_set and (partitions is None or event.partition in partitions):
                yield event

    def tasks(self, prompt_set: str) -> Iterator[RecordedEvent]:
        return (event for event in reversed(self.task_events) if event.prompt_set == prompt_set)

    def submissions(self, prompt_set: str) -> Iterator[RecordedEvent]:
        return (event for event in reversed(self.task_observations) if event.prompt_set == prompt_set)

    def verdicts(self, prompt_set: str) -> Iterator[RecordedEvent]:
        return (event for event in self.verdict_events if event.prompt_set == prompt_set)

    def index(self, prompt_set: str) -> RecordedEvent | None:
        return self.indexes.get(prompt_set)

    def observations(self, prompt_set: str, partitions: Sequence[str]) -> Iterator[RecordedEvent]:
        return iter(())

    def expected_metadata(self, order: Order) -> Mapping[str, Any]:
        return expected(order)

    def report(self, order: Order) -> bool:
        self.reported_again.append(order.order_id)
        self.events.append(event_of(order))
        return True

    def report_task(self, order: Order, prompt_set: str, partition: str) -> None:
        self.task_events.append(replace(task_event_of(order), prompt_set=prompt_set, partition=partition))

    def report_index(self, written: WrittenIndex) -> None:
        self.indexes[written.prompt_set] = RecordedEvent(
            prompt_set=written.prompt_set,
            partition="",
            at=NOW,
            metadata={},
            data_version=written.version,
        )


@dataclass
class World:
    """Four sources that agree about some stored orders, until a test changes one."""

    ledger: Ledger
    vendor: FakeVendor = field(default_factory=FakeVendor)
    store: MemoryStore = field(default_factory=MemoryStore)
    dagster: FakeDagster = field(default_factory=FakeDagster)

    @property
    def services(self) -> Services:
        """The services that the audit gets."""
        return Services(
            ledger=self.ledger,
            open_client=lambda: self.vendor,  # type: ignore[arg-type, return-value]
            store=self.store,  # type: ignore[arg-type]
            clock=lambda: NOW,
        )

    def add(self, number: int, **fields: Any) -> Order:
        """Add one stored order to all four sources."""
        sums = {
            "size_bytes": len(VIDEO),
            "poster_size_bytes": len(POSTER),
            "sha256": hashlib.sha256(VIDEO).hexdigest(),
            "poster_sha256": hashlib.sha256(POSTER).hexdigest(),
            "stored_at": NOW,
        }
        request = make_request(f"cat {number}").model_dump(mode="json")
        sums |= {"request": request, "fingerprint": fingerprint(make_request(f"cat {number}"))}
        made = stored_order(number, **sums | fields)
        keys = object_keys(PREFIX, made.prompt_set, made.partition, made.fingerprint, made.attempt)
        paths = {f"{kind}_key": getattr(keys, kind) for kind in ("video", "poster", "manifest")}
        made = replace(made, **paths | fields)
        columns = {name: value for name, value in vars(made).items() if name not in ("order_id", "state")}
        order = self.ledger.repairs.restore(
            columns, order_id=number, actor="test", source="test", reported=Reported.STORED
        )
        task = make_task(
            number,
            TaskStatus.COMPLETED,
            points_charged=order.points_charged,
            input=GenerationRequest.model_validate(order.request, strict=False).to_wire()["input"],
            created_at=order.vendor_created_at,
            ended_at=order.vendor_ended_at,
        )
        self.vendor.rows[str(order.task_id)] = row(order)
        self.vendor.tasks[str(order.task_id)] = task.model_copy(
            update={"video_url": "https://v.example.com/a"}
        )
        self.store.objects |= {
            str(order.video_key): VIDEO,
            str(order.poster_key): POSTER,
            str(order.manifest_key): expected_manifest(order) or b"",
        }
        self.dagster.events.append(event_of(order))
        self.dagster.report_task(order, order.prompt_set, order.partition)
        written = refresh_index(self.services, order.prompt_set, owner="test", force=True)
        assert written is not None
        self.dagster.report_index(written)
        return order

    def change_task(self, order: Order, **fields: Any) -> None:
        """Change a task, and its row in the history."""
        task_id = str(order.task_id)
        self.vendor.tasks[task_id] = self.vendor.tasks[task_id].model_copy(update=fields)
        points = self.vendor.tasks[task_id].points_charged
        self.vendor.rows[task_id] = replace(self.vendor.rows[task_id], points=points)

    def audit(self, before_compare: Callable[[], None] | None = None, **scope: Any) -> Audit:
        """Audit the world; `before_compare` runs just before the ledger is read."""

        def progress(step: str, done: int, total: int) -> None:
            if before_compare is not None and (step, done) == (READING, total - 1):
                before_compare()

        return asyncio.run(audit(self.services, self.dagster, Scope(**scope), progress=progress))

    def kinds(self, **scope: Any) -> list[str]:
        """Return the kinds of an audit's findings."""
        return [finding.kind.value for finding in self.audit(**scope).findings]

    def repair(self, **scope: Any) -> dict[str, RepairResult]:
        """Audit and repair; return the result of each finding, by its kind."""
        done = self.audit(**scope)
        results: dict[Finding, RepairResult] = asyncio.run(
            repair(done, self.services, self.dagster, actor="audit 1")
        )
        return {finding.kind.value: result for finding, result in results.items()}


@contextmanager
def agreeing_world(
    folder: Path, clock: Clock, *, orders: int = 2, stored_at: datetime = NOW
) -> Iterator[World]:
    """Open a world of some stored orders, copied from one that is made once per process."""
    ledger_file, made = _agreeing(orders, stored_at)
    (folder / "ledger.db").write_bytes(ledger_file)
    with open_ledger(folder, clock) as ledger:
        yield World(ledger, *copy.deepcopy((made.vendor, made.store, made.dagster)))


@cache
def _agreeing(orders: int, stored_at: datetime) -> tuple[bytes, World]:
    """Return the file of the world's ledger, and the world."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_ledger(folder, Clock()) as ledger:
            made = World(ledger)
            for number in range(1, orders + 1):
                made.add(number, stored_at=stored_at)
        return (folder / "ledger.db").read_bytes(), made


def rewritten(order: Order, **fields: Any) -> bytes:
    """Return the manifest that an order would have with other fields."""
    return expected_manifest(replace(order, **fields)) or b""
