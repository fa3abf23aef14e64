"""Snapshots of the four sources that an audit compares: ledger, vendor, Dagster and S3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.api.wire import HistoryRow, Task
from seedance_dagster.engine.journals import PartProblem
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.storage.objects import ListedObject

NOT_SUBMITTED = "not yet submitted"
"""The text that events have in place of a task's id while the task is not made yet."""

GRACE = timedelta(minutes=30)
"""Work that is late by less than this is still under way and is not reported."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The part of the ledger that an audit covers.

    Attributes:
        prompt_set: One set; None for all.
        since: Only orders since that time (UTC); None for all.
        deep: Hash all bytes in S3 and read every manifest.
    """

    prompt_set: str | None = None
    since: datetime | None = None
    deep: bool = False

    def covers(self, order: Order) -> bool:
        """Return True when the order is audited."""
        return self.covers_time(order.ordered_at) and self.covers_set(order.prompt_set)

    def covers_time(self, at: datetime | None) -> bool:
        """Return True when the time is audited; an unknown time always is."""
        return self.since is None or at is None or at >= self.since

    def covers_set(self, prompt_set: str | None) -> bool:
        """Return True when the prompt set is audited."""
        return self.prompt_set is None or self.prompt_set == prompt_set


@dataclass(frozen=True, kw_only=True)
class LedgerSnapshot:
    """The ledger at the time of an audit.

    Attributes:
        orders: All orders of the audited sets, also those before `since`: they own their tasks and files.
        missing_orders: Orders of any set that the journal or its archive knows and that have no row.
        owned_tasks: Task ids of the other snapshots that belong to an order of any set.
        current_videos: Order ids of the videos that the partitions should show, by set and partition.
        links: The partitions that each order was given to, by order id.
        journal_problems: Why the journal of an order does not lead to its state, by order id.
        archived_entries: The number of their entries that are in the journal's archive, by order id.
        archive_problems: Parts of the archive that cannot be read.
        videos: The videos that partitions show, by set.
        indexes: The version of each set's index without these videos; a set whose index is to be written is
            left out.
        damaged_rows: Rows, by order id, that two other systems contradict; `orders` has what these agree on.
    """

    orders: tuple[Order, ...] = ()
    missing_orders: tuple[MissingOrder, ...] = ()
    owned_tasks: frozenset[str] = frozenset()
    current_videos: Mapping[tuple[str, str], int] = field(default_factory=dict)
    links: Mapping[int, Sequence[Link]] = field(default_factory=dict)
    journal_problems: Mapping[int, str] = field(default_factory=dict)
    archived_entries: Mapping[int, int] = field(default_factory=dict)
    archive_problems: Mapping[str, PartProblem] = field(default_factory=dict)
    videos: Mapping[str, Sequence[CurrentVideo]] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)
    damaged_rows: Mapping[int, Order] = field(default_factory=dict)

    def partitions(self, order: Order) -> set[tuple[str, str]]:
        """Return set and key of the partitions that an order was given to."""
        return {(link.prompt_set, link.partition) for link in self.links.get(order.order_id, ())}


@dataclass(frozen=True, kw_only=True)
class VendorSnapshot:
    """The vendor's account at the time of an audit.

    Attributes:
        history: The task history, by task id.
        problem: Why the history is incomplete or could not be read; None when it is complete.
        tasks: Tasks that were read one by one; None for a task that the vendor does not know.
        unread: Tasks that should have been read one by one and were not.
        first_at: When the oldest task of the history was made; None where `history` has all of it.
    """

    history: Mapping[str, HistoryRow] = field(default_factory=dict)
    problem: str | None = None
    tasks: Mapping[str, Task | None] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    first_at: datetime | None = None

    def complete_since(self) -> datetime | None:
        """Return the time since which the history lists every task; None when it is unknown.

        The history forgets old tasks.
        """
        if self.problem is not None or self.first_at is not None:
            return None if self.problem is not None else self.first_at
        return min((row.created_at for row in self.history.values() if row.created_at), default=None)


@dataclass(frozen=True)
class InspectedObject:
    """An object in S3 that was read or hashed.

    Attributes:
        sha256: The hash of its bytes in hex, computed or from its metadata.
        body: All of it, for a manifest.
    """

    sha256: str | None = None
    body: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class StorageSnapshot:
    """S3 at the time of an audit.

    Attributes:
        bucket: The bucket's name.
        prefix: The beginning of every key.
        objects: The listing, by key.
        inspected: Objects that were inspected one by one; None for one that does not exist.
    """

    bucket: str = ""
    prefix: str = ""
    objects: Mapping[str, ListedObject] = field(default_factory=dict)
    inspected: Mapping[str, InspectedObject | None] = field(default_factory=dict)

    def uri(self, key: str) -> str:
        """Return a key as an s3:// URI."""
        return f"s3://{self.bucket}/{key}"


@dataclass(frozen=True, kw_only=True)
class RecordedEvent:
    """A materialization or observation in Dagster's event log, of a video, a task or an index.

    Attributes:
        partition: Empty for an index.
        at: When it was recorded (UTC).
        metadata: Plain values by name.
        data_version: Its data version; None where it has none.
    """

    prompt_set: str
    partition: str
    at: datetime
    metadata: Mapping[str, Any]
    data_version: str | None

    @property
    def task_id(self) -> str | None:
        """The vendor's task that it names."""
        task_id = self.metadata.get("seedance/task_id")
        return task_id if isinstance(task_id, str) and task_id != NOT_SUBMITTED else None


@dataclass(frozen=True, kw_only=True)
class DagsterSnapshot:
    """Dagster's event log at the time of an audit.

    Attributes:
        newest: The materialization that each partition shows, by prompt set and partition.
        reported: One materialization or observation of each task that was reported, by task id.
        tasks: The event of its task that each partition shows, by prompt set and partition: the newest
            materialization, or the observation of its submission where it was submitted later.
        submitted: The newest event of each task that was submitted, by task id.
        indexes: The newest materialization of each set's index.
    """

    newest: Mapping[tuple[str, str], RecordedEvent] = field(default_factory=dict)
    reported: Mapping[str, RecordedEvent] = field(default_factory=dict)
    tasks: Mapping[tuple[str, str], RecordedEvent] = field(default_factory=dict)
    submitted: Mapping[str, RecordedEvent] = field(default_factory=dict)
    indexes: Mapping[str, RecordedEvent] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """The four snapshots of one audit, of everything or of some orders.

    Attributes:
        read_at: When reading began (UTC).
        priced: Orders that the snapshots leave out, and that price tables are compared with.
    """

    read_at: datetime
    ledger: LedgerSnapshot
    vendor: VendorSnapshot
    storage: StorageSnapshot
    dagster: DagsterSnapshot
    priced: Sequence[Order] = ()
