"""What is left of an order whose row was taken out of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from seedance_dagster.api.wire import HistoryRow
from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.audit.snapshots import RecordedEvent, StorageSnapshot
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.storage.keys import OrderFolder
from seedance_dagster.storage.manifest import Manifest

_BY_HAND = "restore the ledger from a backup, or keep what is left as it is"


@dataclass(frozen=True, kw_only=True)
class MissingOrderEvidence:
    """What is left of an order whose row is gone.

    Attributes:
        journal: The ledger's journal of it.
        folder: Its objects in S3.
        manifest: Its manifest.
        telling: What Dagster was told of it.
        row: Its task in the vendor's history.
    """

    journal: MissingOrder | None = None
    folder: OrderFolder | None = None
    manifest: Manifest | None = None
    telling: RecordedEvent | None = None
    row: HistoryRow | None = None

    @property
    def task_id(self) -> str | None:
        """The vendor's task."""
        if self.manifest is not None:
            return self.manifest.task_id
        if self.telling is not None:
            return self.telling.task_id
        return self.journal.task_id if self.journal is not None else None

    @property
    def at(self) -> datetime | None:
        """When it was ordered, or the first that is known of it."""
        if self.manifest is not None:
            return self.manifest.ordered_at
        if self.journal is not None:
            return self.journal.at
        return self.telling.at if self.telling is not None else None

    @property
    def place(self) -> tuple[str, str] | None:
        """Its set and partition; None when nothing tells."""
        if self.manifest is not None:
            return self.manifest.prompt_set, self.manifest.partition
        if self.telling is not None:
            return self.telling.prompt_set, self.telling.partition
        return None if self.folder is None else (self.folder.prompt_set, self.folder.partition)

    def finding(self, book: StorageSnapshot) -> Finding:
        """The one finding about it."""
        left = {
            "objects in S3": self.folder,
            "its manifest": self.manifest,
            "a materialization": self.telling,
            "a task at the vendor": self.row,
            "its journal": self.journal,
        }
        named = ", ".join(name for name, trace in left.items() if trace is not None)
        prompt_set, partition = self.place or (None, None)
        where = f"order {self.journal.order_id}" if self.journal is not None else f"task {self.task_id}"
        if self.manifest is not None:
            where = book.uri(self.manifest.manifest_key)
        return finding(
            Kind.MISSING_ORDER,
            where=where,
            what=f"its row is gone from the ledger; left are {named}",
            advice=None if self.manifest is not None else _BY_HAND,
            prompt_set=prompt_set,
            partition=partition,
            order_id=None if self.journal is None else self.journal.order_id,
            task_id=self.task_id,
            cost_points=self._points(),
        )

    def _points(self) -> int:
        told = self.telling.metadata.get("seedance/points_consumed") if self.telling is not None else None
        known = (
            self.manifest.points_charged if self.manifest is not None else None,
            told if isinstance(told, int) else None,
            self.journal.points_charged if self.journal is not None else None,
            self.row.points if self.row is not None else None,
        )
        return next((points for points in known if points is not None), 0)
