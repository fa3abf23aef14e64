"""Differences that are planted in one source of a small world, without the others knowing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from audit_snapshots import event_of, row
from audit_world import World
from factories import NOW, Clock, make_task, remove_row
from order_factory import OrderFactory

from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.audit.snapshots import NOT_SUBMITTED
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.tables.schema import journal, orders


class Planter:
    """A set of changes to one source's data about an order of a world, by default the first."""

    def __init__(self, world: World, clock: Clock, order_id: int = 1) -> None:
        self.world, self.clock = world, clock
        self.order: Order = world.ledger.queries.get(order_id)

    @property
    def task_id(self) -> str:
        """The vendor's task."""
        return str(self.order.task_id)

    def row(self, order_id: int | None = None, **columns: Any) -> None:
        """Change columns of the ledger's row, or of another order's."""
        order_id = order_id or self.order.order_id
        self._write(orders.update().where(orders.c.order_id == order_id).values(columns))

    def remove_row(self) -> None:
        """Delete the ledger's row."""
        remove_row(self.world.ledger, self.order.order_id)

    def book_retry_apart(self) -> None:
        """Book the automatic retry of a failed order at another time than the order."""
        factory = OrderFactory(self.world.ledger, self.clock)
        failed = factory.make(State.FAILED, "p9", retry_at=NOW)
        task_id = str(failed.task_id)
        self.world.vendor.rows[task_id] = row(task_id=task_id, status="failed", points=0)
        self.world.vendor.tasks[task_id] = make_task(
            4, TaskStatus.FAILED, task_id=task_id, input={}, points_charged=0
        )
        self.row(failed.order_id + 1, booked_at=NOW.replace(second=1))

    def journal(self, from_state: str, to_state: str) -> None:
        """Add an entry to the journal."""
        entry = {"order_id": self.order.order_id, "at": NOW, "actor": "x", "detail": {}}
        self._write(journal.insert().values(from_state=from_state, to_state=to_state, **entry))

    def remove_journal(self) -> None:
        """Delete the journal."""
        self._write(journal.delete().where(journal.c.order_id == self.order.order_id))

    def task(self, **fields: Any) -> None:
        """Change the vendor's task and its row in the history."""
        self.world.change_task(self.order, **fields)

    def echo(self, **fields: Any) -> None:
        """Change the request that the vendor's task reports; None leaves a field out."""
        asked = self.world.vendor.tasks[self.task_id].input | fields
        self.task(input={name: value for name, value in asked.items() if value is not None})

    def forget_task(self) -> None:
        """Make the vendor forget the task."""
        del self.world.vendor.rows[self.task_id], self.world.vendor.tasks[self.task_id]

    def foreign_task(self) -> None:
        """Create a task as another program with the same key would."""
        self.world.vendor.rows["foreign"] = row()

    def lose(self, *names: str) -> None:
        """Delete objects of the order: "video", "poster", "manifest"."""
        for name in names:
            del self.world.store.objects[self.key(name)]

    def put(self, name: str, body: bytes) -> None:
        """Replace an object of the order, or put one at any key."""
        self.world.store.objects[self.key(name)] = body

    def manifest(self, **fields: Any) -> None:
        """Change fields of the manifest; fields of the request have their own names."""
        body = json.loads(self.world.store.objects[self.key("manifest")])
        for name, value in fields.items():
            (body if name in body else body["request"]["input"])[name] = value
        self.put("manifest", json.dumps(body, indent=2).encode() + b"\n")

    def copy_folder(self) -> None:
        """Copy all objects of the order to another partition's folder."""
        for name in ("video", "poster", "manifest"):
            body = self.world.store.objects[self.key(name)]
            self.put(self.key(name).replace(f"/{self.order.partition}/", "/copy/"), body)

    def wipe(self) -> None:
        """Wipe the materialization of the video."""
        events = self.world.dagster.events
        self.world.dagster.events = [event for event in events if event.partition != self.order.partition]

    def wipe_task(self) -> None:
        """Wipe the materialization of the task."""
        events = self.world.dagster.task_events
        self.world.dagster.task_events = [
            event for event in events if event.partition != self.order.partition
        ]

    def event(
        self, *, data_version: str | None = None, partition: str | None = None, **metadata: Any
    ) -> None:
        """Report another materialization of the video."""
        partition = partition or self.order.partition
        event = event_of(self.order, partition=partition, data_version=data_version or self.order.sha256)
        fields = {f"seedance/{name}": value for name, value in metadata.items()}
        event = event_of(
            self.order,
            partition=partition,
            data_version=event.data_version,
            metadata={**event.metadata, **fields},
        )
        self.world.dagster.events.append(event)

    def foreign_event(self) -> None:
        """Report a materialization as another program would."""
        self.world.dagster.events.append(event_of(self.order, metadata={}))

    def ordered_first(self, *, observed: bool) -> None:
        """Let the task be materialized before its submission, which is observed later or never."""
        events = self.world.dagster.task_events
        [submitted] = [event for event in events if event.task_id == self.task_id]
        queued = {"seedance/task_id": NOT_SUBMITTED, "seedance/points_held": 0}
        events[events.index(submitted)] = replace(submitted, metadata={**submitted.metadata, **queued})
        if observed:
            self.world.dagster.task_observations.append(submitted)

    def task_event(self, **metadata: Any) -> None:
        """Report another materialization of the task."""
        self.world.dagster.report_task(self.order, self.order.prompt_set, self.order.partition)
        event = self.world.dagster.task_events[-1]
        fields = {f"seedance/{name}": value for name, value in metadata.items()}
        event.metadata.update(fields)  # type: ignore[attr-defined]  a dictionary

    def index_event(self, sha256: str | None) -> None:
        """Change the materialization of the index, or wipe it."""
        event = self.world.dagster.indexes.pop("spots")
        if sha256 is not None:
            self.world.dagster.indexes["spots"] = type(event)(**vars(event) | {"data_version": sha256})

    def key(self, name: str) -> str:
        """Return the key of an object of the order; any other name is a key."""
        return str(getattr(self.order, f"{name}_key", name))

    def _write(self, statement: sa.Executable) -> None:
        with self.world.ledger._database.writing() as connection:
            connection.execute(statement)
