"""The four books as plain records: what was read of each, before anything is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.api.wire import HistoryRow, Task
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.storage.s3 import ListedObject

GRACE = timedelta(minutes=30)
"""Work that is not this much behind its time is under way and no finding."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What is audited.

    Attributes:
        prompt_set: One set; None for all.
        since: Only what was ordered since then (UTC); None for everything.
        deep: Hash the bytes in S3 and read every manifest.
    """

    prompt_set: str | None = None
    since: datetime | None = None
    deep: bool = False

    def covers(self, order: Order) -> bool:
        """True for an order that is audited."""
        return self.is_since(order.ordered_at) and self.is_of(order.prompt_set)

    def is_since(self, at: datetime | None) -> bool:
        """True for a time that is audited, and for an unknown one."""
        return self.since is None or at is None or at >= self.since

    def is_of(self, prompt_set: str | None) -> bool:
        """True for a set that is audited."""
        return self.prompt_set is None or self.prompt_set == prompt_set


@dataclass(frozen=True, kw_only=True)
class LedgerSnapshot:
    """What the ledger says.

    Attributes:
        orders: All orders of the audited sets, those before `since` too: they own what is theirs.
        removed: Orders whose row was taken out, of all sets.
        owned_tasks: Every task id among the other books' that an order of any set owns.
        current_videos: Numbers of the stored orders that the partitions should show, at most one each.
    """

    orders: tuple[Order, ...] = ()
    removed: tuple[MissingOrder, ...] = ()
    owned_tasks: frozenset[str] = frozenset()
    current_videos: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class VendorSnapshot:
    """What the vendor says.

    Attributes:
        rows: The task history, by task id.
        doubt: Why the history may be incomplete or could not be read; None when it is whole.
        tasks: Tasks that were read by themselves, None for one that the vendor does not know.
        unread: Tasks that should have been read and were not.
    """

    rows: Mapping[str, HistoryRow] = field(default_factory=dict)
    doubt: str | None = None
    tasks: Mapping[str, Task | None] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()

    def listed_from(self) -> datetime | None:
        """Since when the history lists every task; None when nothing can be said: it forgets old ones."""
        times = [row.created_at for row in self.rows.values() if row.created_at is not None]
        return min(times, default=None) if self.doubt is None else None


@dataclass(frozen=True)
class Seen:
    """A closer look at one object.

    Attributes:
        sha256: Of its bytes, in hex: hashed, or as its metadata says.
        body: All of it, for a manifest.
    """

    sha256: str | None = None
    body: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class StorageSnapshot:
    """What lies in S3.

    Attributes:
        bucket: The bucket's name.
        prefix: Before every key.
        objects: The listing, by key.
        seen: Objects that were looked at closer; None for one that is not there.
    """

    bucket: str = ""
    prefix: str = ""
    objects: Mapping[str, ListedObject] = field(default_factory=dict)
    seen: Mapping[str, Seen | None] = field(default_factory=dict)

    def uri(self, key: str) -> str:
        """A key as an s3:// URI."""
        return f"s3://{self.bucket}/{key}"


@dataclass(frozen=True, kw_only=True)
class RecordedEvent:
    """What Dagster was told of one video.

    Attributes:
        prompt_set: The set.
        partition: The partition.
        at: When (UTC).
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
        found = self.metadata.get("seedance/task_id")
        return found if isinstance(found, str) else None


@dataclass(frozen=True, kw_only=True)
class DagsterSnapshot:
    """What Dagster was told.

    Attributes:
        newest: The materialization that each partition of each set shows.
        told: Any materialization or observation, by the task id that it names.
    """

    newest: Mapping[tuple[str, str], RecordedEvent] = field(default_factory=dict)
    told: Mapping[str, RecordedEvent] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """All four, read for one audit.

    Attributes:
        read_at: When the reading began (UTC).
    """

    read_at: datetime
    ledger: LedgerSnapshot
    vendor: VendorSnapshot
    storage: StorageSnapshot
    dagster: DagsterSnapshot
