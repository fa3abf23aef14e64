"""Orders whose row is missing from the ledger: the evidence that is left, and the row that it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from seedance_dagster.api.wire import REFERENCE_KINDS, GenerationRequest, HistoryRow
from seedance_dagster.audit.evidence import Evidence, Source
from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.audit.snapshots import RecordedEvent, Snapshots
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.storage.keys import OrderFolder
from seedance_dagster.storage.manifest import Manifest, Reference

_NO_MANIFEST = "restore the ledger from a backup, or keep what is left as it is"
_SHARED_FIELDS = sorted((Manifest.model_fields.keys() & Order.__dataclass_fields__.keys()) - {"request"})


@dataclass(frozen=True, kw_only=True)
class MissingOrderEvidence:
    """The evidence that is left of an order whose row is missing.

    Attributes:
        journal: The ledger's journal of it.
        folder: Its objects in S3.
        event: The event that reported its video to Dagster.
        task: Its task in the vendor's history.
    """

    journal: MissingOrder | None = None
    folder: OrderFolder | None = None
    manifest: Manifest | None = None
    event: RecordedEvent | None = None
    task: HistoryRow | None = None

    @property
    def task_id(self) -> str | None:
        """The vendor's task."""
        if self.manifest is not None:
            return self.manifest.task_id
        if self.event is not None:
            return self.event.task_id
        return self.journal.task_id if self.journal is not None else None

    @property
    def at(self) -> datetime | None:
        """The time of the order, or else the earliest time that is known of it."""
        if self.manifest is not None:
            return self.manifest.ordered_at
        if self.journal is not None:
            return self.journal.at
        return self.event.at if self.event is not None else None

    @property
    def partition(self) -> tuple[str, str] | None:
        """Its prompt set and partition; None when they are unknown."""
        source = self.manifest or self.event or self.folder
        return None if source is None else (source.prompt_set, source.partition)

    @property
    def points(self) -> int:
        """The charge, in points; 0 when it is unknown."""
        reported = self.event.metadata.get("seedance/points_consumed") if self.event is not None else None
        charges = (
            self.manifest.points_charged if self.manifest is not None else None,
            reported if isinstance(reported, int) else None,
            self.journal.points_charged if self.journal is not None else None,
            self.task.points if self.task is not None else None,
        )
        return next((points for points in charges if points is not None), 0)

    def finding(self, snapshots: Snapshots) -> Finding:
        """Return the finding about the order."""
        evidence = {
            "objects in S3": self.folder,
            "its manifest": self.manifest,
            "a materialization": self.event,
            "a task at the vendor": self.task,
            "its journal": self.journal,
        }
        left = ", ".join(name for name, value in evidence.items() if value is not None)
        prompt_set, partition = self.partition or (None, None)
        location = f"order {self.journal.order_id}" if self.journal is not None else f"task {self.task_id}"
        if self.manifest is not None:
            location = snapshots.storage.uri(self.manifest.manifest_key)
        return finding(
            Kind.MISSING_ORDER,
            location=location,
            message=f"its row is missing from the ledger; left are {left}",
            advice=None if self.manifest is not None else _NO_MANIFEST,
            prompt_set=prompt_set,
            partition=partition,
            order_id=None if self.journal is None else self.journal.order_id,
            task_id=self.task_id,
            cost_points=self.points,
            evidence=(self._evidence(snapshots),),
        )

    def _evidence(self, snapshots: Snapshots) -> Evidence:
        """Return the evidence about the order's task."""
        task = snapshots.vendor.tasks.get(self.task_id or "")
        journaled = f"no row; its journal says task {self.journal.task_id}" if self.journal else "no row"
        says = {
            Source.LEDGER: journaled,
            Source.VENDOR: task.raw_status if task else self.task.status if self.task else None,
            Source.DAGSTER: f"task {self.event.task_id}" if self.event else None,
            Source.MANIFEST: f"task {self.manifest.task_id}" if self.manifest else None,
            Source.OBJECTS: self.folder.path if self.folder else None,
        }
        return Evidence.of("order", {source: text for source, text in says.items() if text})


def ordered_request(manifest: Manifest) -> GenerationRequest:
    """Return the request of a manifest's order: as it was sent, with the files in place of links to them.

    Raises:
        ValidationError, KeyError, TypeError: The manifest was altered.
    """
    sent = manifest.request
    fields = {"task_type": sent["task_type"], **sent["input"]}
    fields["remove_watermark"] = manifest.source is not None
    for kind in REFERENCE_KINDS:
        references = [reference for reference in manifest.references if reference.kind == kind]
        if references:
            fields[f"{kind}_urls"] = list(map(_ordered_reference, references))
    return GenerationRequest.model_validate(fields, strict=False)


def _ordered_reference(reference: Reference) -> str:
    file = FileReference.parse(reference.url)
    if file is None:
        return reference.url
    return str(replace(file, sha256=reference.facts.sha256 if reference.facts else None))


def order_columns(manifest: Manifest) -> dict[str, Any] | None:
    """Return the columns of the stored order that a manifest was made from; None if it was altered.

    Columns that a manifest lacks are set as for an order that has ended: no retries, no lease, no polls. The
    queries of reference URLs are lost.
    """
    try:
        request = ordered_request(manifest)
    except (ValidationError, KeyError, TypeError):
        return None
    facts = [
        {"kind": reference.kind, "position": reference.position, **reference.facts.model_dump()}
        for reference in manifest.references
        if reference.facts is not None
    ]
    columns = {name: getattr(manifest, name) for name in _SHARED_FIELDS} | {
        "request": request.model_dump(mode="json"),
        "source": None if manifest.source is None else manifest.source.model_dump(),
        "reference_facts": facts or None,
        "retries": 0,
        "reserved_points": manifest.estimated_points,
        "booked_at": manifest.ordered_at,
    }
    # A manifest is unaltered exactly when the row gives the same manifest again.
    order = Order(order_id=0, state=State.STORED, **columns)
    return columns if Manifest.of(order) == manifest else None
