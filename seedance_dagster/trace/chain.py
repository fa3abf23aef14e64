"""The whole chain around a subject: its partitions with every order, journal and file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from seedance_dagster.engine.journals import ArchivedEntries, JournalReader
from seedance_dagster.ledger.archive import ArchivePart
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import OPEN, Order, Reported
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.verdict import GivenVerdict
from seedance_dagster.net.redaction import redact, redact_url, strip_query
from seedance_dagster.storage.manifest import Reference, references_of
from seedance_dagster.trace.origin import Origin

# Links in these may be signed as a whole; `references` has the reference facts.
_HIDDEN_COLUMNS = frozenset({"video_url", "source_url", "reference_facts"})


@dataclass(frozen=True)
class TracedFile:
    """A file of an order in S3; size and hash are the ledger's.

    Attributes:
        kind: "video", "poster", "preview" or "manifest".
        sha256: Its SHA-256 in hex.
    """

    kind: str
    key: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class TracedOrder:
    """An order with its journal.

    Attributes:
        reported: The event that Dagster has of it for the partition.
        mark: The part of this order that is traced, such as "video"; None for other orders.
        shown: True for the video that its partition shows now.
        verdicts: The verdicts on its video for the partition, the oldest first.
        scores: The score results of its video, or their problems.
        archived: The parts of the archive that hold its other journal entries.
    """

    order: Order
    reported: Reported | None
    journal: Sequence[JournalEntry]
    mark: str | None
    shown: bool
    verdicts: Sequence[GivenVerdict] = ()
    scores: Sequence[ScoreResult] = ()
    archived: Sequence[ArchivedEntries] = ()

    @property
    def in_flight(self) -> bool:
        """True while the order continues automatically."""
        return self.order.state in OPEN

    @property
    def finished_at(self) -> datetime | None:
        """The time at which the video was stored, or the order ended without one (UTC)."""
        if self.in_flight:
            return None
        return self.order.stored_at or (self.journal[-1].at if self.journal else self.order.vendor_ended_at)

    @property
    def references(self) -> list[Reference]:
        """The references of the request, without the queries of their URLs."""
        return list(references_of(self.order))

    @property
    def files(self) -> list[TracedFile]:
        """The files that the ledger knows."""
        order = self.order
        files = (
            ("video", order.video_key, order.size_bytes, order.sha256),
            ("poster", order.poster_key, order.poster_size_bytes, order.poster_sha256),
            ("preview", order.preview_key, None, None),
            ("manifest", order.manifest_key, None, None),
        )
        return [TracedFile(kind, key, size, sha256) for kind, key, size, sha256 in files if key is not None]

    @property
    def redacted(self) -> dict[str, Any]:
        """The order's columns, with everything that may be secret removed from their URLs."""
        columns = {name: value for name, value in vars(self.order).items() if name not in _HIDDEN_COLUMNS}
        redacted: dict[str, Any] = redact(columns)
        request = {
            name: [strip_query(url) for url in value or ()] if name.endswith("_urls") else value
            for name, value in self.order.request.items()
        }
        return redacted | {
            "reported": self.reported,
            "request": request,
            "tags": redact(self.order.tags, redact_url),
            "run_tags": redact(self.order.run_tags or {}, redact_url),
        }


@dataclass(frozen=True)
class TracedPartition:
    """A partition with all its orders, the oldest first; `reported` is the fingerprint that Dagster has."""

    prompt_set: str
    partition: str
    reported: str | None
    orders: Sequence[TracedOrder]

    @property
    def in_flight(self) -> int:
        """The number of orders in flight."""
        return sum(traced.in_flight for traced in self.orders)

    @property
    def points_charged(self) -> int:
        """The charges of all orders, in points."""
        return sum(traced.order.points_charged or 0 for traced in self.orders)


@dataclass(frozen=True)
class Trace:
    """The origin of a subject and the chain around it.

    Attributes:
        partitions: More than one only where several videos have the same bytes.
        bucket: The bucket of the files; empty when it is not known.
        sizes: Bytes in S3 by key, None for a missing file; without files that were not looked up.
    """

    origin: Origin
    partitions: Sequence[TracedPartition]
    bucket: str = ""
    sizes: Mapping[str, int | None] = field(default_factory=dict)

    def uri(self, file: TracedFile | ArchivePart) -> str:
        """Return the s3:// URI of a file; its key where the bucket is not known."""
        return f"s3://{self.bucket}/{file.key}" if self.bucket else file.key

    def in_s3(self, file: TracedFile) -> str | None:
        """Return "present", "missing" or "other size"; None when the file was not looked up."""
        if file.key not in self.sizes:
            return None
        size = self.sizes[file.key]
        if size is None:
            return "missing"
        return "present" if file.size_bytes in (None, size) else "other size"

    def as_json(self) -> dict[str, Any]:
        """Return the whole trace; names are the ledger's, times are UTC, money is points."""
        origin = self.origin
        return {
            "thing": origin.subject,
            "form": origin.form,
            "notes": list(origin.notes),
            "credential": None if origin.credential is None else asdict(origin.credential),
            "partitions": [
                {
                    "prompt_set": partition.prompt_set,
                    "partition": partition.partition,
                    "reported_fingerprint": partition.reported,
                    "in_flight": partition.in_flight,
                    "points_charged": partition.points_charged,
                    "orders": list(map(self._order_as_json, partition.orders)),
                }
                for partition in self.partitions
            ],
        }

    def _order_as_json(self, traced: TracedOrder) -> dict[str, Any]:
        return traced.redacted | {
            "mark": traced.mark,
            "in_flight": traced.in_flight,
            "shown": traced.shown,
            "finished_at": traced.finished_at,
            "references": [reference.model_dump() for reference in traced.references],
            "files": [
                asdict(file) | {"uri": self.uri(file), "in_s3": self.in_s3(file)} for file in traced.files
            ],
            "verdicts": [redact(vars(verdict), redact_url) for verdict in traced.verdicts],
            "scores": [vars(result) | {"values": dict(result.values)} for result in traced.scores],
            "journal": [vars(entry) | {"detail": redact(entry.detail)} for entry in traced.journal],
            "journal_archive": [
                {"uri": self.uri(archived.part), "entries": archived.count, "problem": archived.problem}
                for archived in traced.archived
            ],
        }


def read_trace(ledger: Ledger, reader: JournalReader, origin: Origin, *, bucket: str = "") -> Trace:
    """Read everything around an origin from the ledger, and from the archive of its journal."""
    partitions = [_read_partition(ledger, reader, origin, *key) for key in origin.partitions]
    return Trace(origin, partitions, bucket)


def _read_partition(
    ledger: Ledger, reader: JournalReader, origin: Origin, prompt_set: str, partition: str
) -> TracedPartition:
    orders = ledger.queries.of_partition(prompt_set, partition)
    journals = reader.read([order.order_id for order in orders])
    reported = ledger.reports.prompt(prompt_set, partition)
    shown = ledger.videos.shown(prompt_set, partition)
    verdicts = ledger.verdicts.history(prompt_set, partition)
    scores = ledger.scores.results(order.sha256 for order in orders if order.sha256)
    links = ledger.partitions.links_of(order.order_id for order in orders)
    events = {
        link.order_id: link.reported
        for of_order in links.values()
        for link in of_order
        if (link.prompt_set, link.partition) == (prompt_set, partition)
    }
    traced = [
        TracedOrder(
            order=order,
            reported=events.get(order.order_id),
            journal=journals[order.order_id].entries,
            archived=journals[order.order_id].archived,
            mark=origin.marks.get(order.order_id),
            shown=order.order_id == shown,
            verdicts=[verdict for verdict in verdicts if verdict.order_id == order.order_id],
            scores=list(scores.get(str(order.sha256), {}).values()),
        )
        for order in orders
    ]
    return TracedPartition(prompt_set, partition, reported, traced)
