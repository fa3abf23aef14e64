"""The whole chain around a thing: from rows of the ledger to a `Trace`, which commands show as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.net.redaction import redact, redact_url
from seedance_dagster.storage.manifest import references_of
from seedance_dagster.trace.models import (
    CredentialTrace,
    FileTrace,
    OrderTrace,
    PartitionTrace,
    RequestTrace,
    Step,
    TaskTrace,
    Trace,
)
from seedance_dagster.trace.origin import Origin

if TYPE_CHECKING:
    from seedance_dagster.media.credentials import Credential

_KINDS = ("video", "poster", "manifest")


@dataclass(frozen=True)
class Rows:
    """What the ledger has of one partition.

    Attributes:
        orders: All of them, the oldest first; at least one.
        told: The fingerprint that Dagster was last told of.
        journals: By order id.
    """

    orders: Sequence[Order]
    told: str | None = None
    journals: Mapping[int, Sequence[JournalEntry]] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """The keys of all files in S3 that the ledger knows."""
        return [key for order in self.orders for key in _keys(order).values()]


def read_rows(ledger: Ledger, origin: Origin) -> list[Rows]:
    """Everything that belongs to an origin, partition by partition."""
    found = []
    for prompt_set, partition in origin.partitions:
        orders = ledger.queries.of_partition(prompt_set, partition)
        journals = ledger.queries.journals([order.order_id for order in orders])
        found.append(Rows(orders, ledger.reports.prompt(prompt_set, partition), journals))
    return found


def trace_of(
    origin: Origin, rows: Iterable[Rows], *, uri: Callable[[str], str], sizes: Mapping[str, int | None]
) -> Trace:
    """Put a trace together.

    Args:
        origin: What was asked about.
        rows: From `read_rows`.
        uri: Makes an s3:// URI of a key.
        sizes: What was seen in S3, in bytes by key, None for what is missing; without keys that nobody
            looked at.
    """
    return Trace(
        given=origin.given,
        form=origin.form,
        notes=list(origin.notes),
        credential=None if origin.credential is None else _credential(origin.credential),
        partitions=[_partition(each, origin.marks, uri, sizes) for each in rows],
    )


def _credential(found: Credential) -> CredentialTrace:
    own = {name: getattr(found, name) for name in CredentialTrace.model_fields}
    return CredentialTrace(**own | {"reasons": list(found.reasons)})


def _partition(
    rows: Rows, marks: Mapping[int, str], uri: Callable[[str], str], sizes: Mapping[str, int | None]
) -> PartitionTrace:
    shown = _shown(rows)
    requests: dict[str, list[Order]] = {}
    for order in rows.orders:
        requests.setdefault(order.fingerprint, []).append(order)

    def traced(order: Order) -> OrderTrace:
        return _order(
            order,
            journal=rows.journals.get(order.order_id, ()),
            mark=marks.get(order.order_id),
            shown=order is shown,
            files=_files(order, uri, sizes),
        )

    return PartitionTrace(
        prompt_set=rows.orders[0].prompt_set,
        partition=rows.orders[0].partition,
        told_fingerprint=rows.told,
        in_flight=sum(order.state in OPEN for order in rows.orders),
        points_charged=sum(order.points_charged or 0 for order in rows.orders),
        requests=[
            RequestTrace(
                fingerprint=fingerprint,
                asked_now=fingerprint == rows.told,
                prompt=str(orders[-1].request.get("prompt", "")),
                parameters=_parameters(orders[-1].request),
                references=list(references_of(orders[-1])),
                orders=list(map(traced, orders)),
            )
            for fingerprint, orders in requests.items()
        ],
    )


def _shown(rows: Rows) -> Order | None:
    """As `Ledger.shown`: the newest video of what is asked for now, else the newest."""
    stored = [order for order in rows.orders if order.state is State.STORED]
    return max(stored, key=lambda order: (order.fingerprint == rows.told, order.order_id), default=None)


def _parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in request.items()
        if name != "prompt" and not name.endswith("_urls") and value is not None
    }


def _order(
    order: Order, *, journal: Sequence[JournalEntry], mark: str | None, shown: bool, files: list[FileTrace]
) -> OrderTrace:
    steps = [Step(**vars(entry) | {"detail": redact(entry.detail)}) for entry in journal]
    own = {name: getattr(order, name) for name in OrderTrace.model_fields if hasattr(order, name)}
    return OrderTrace(
        **own
        | {
            "mark": mark,
            "in_flight": order.state in OPEN,
            "shown": shown,
            "tags": redact(order.tags, redact_url),
            "run_tags": redact(order.run_tags or {}, redact_url),
            "finished_at": _finished_at(order, steps),
            "references": list(references_of(order)),
            "error_message": redact(order.error_message),
            "task": _task(order),
            "files": files,
            "credential": redact(order.credential),
            "reported": order.reported,
            "journal": steps,
        }
    )


def _finished_at(order: Order, steps: Sequence[Step]) -> datetime | None:
    if order.state in OPEN:
        return None
    return order.stored_at or (steps[-1].at if steps else order.vendor_ended_at)


def _task(order: Order) -> TaskTrace | None:
    if order.task_id is None:
        return None
    return TaskTrace(
        task_id=order.task_id,
        created_at=order.vendor_created_at,
        started_at=order.vendor_started_at,
        ended_at=order.vendor_ended_at,
        points_held=order.points_held,
        points_charged=order.points_charged,
        logs=redact(order.vendor_logs or []),
    )


def _keys(order: Order) -> dict[str, str]:
    keys = {kind: getattr(order, f"{kind}_key") for kind in _KINDS}
    return {kind: key for kind, key in keys.items() if key is not None}


def _files(order: Order, uri: Callable[[str], str], sizes: Mapping[str, int | None]) -> list[FileTrace]:
    known = {
        "video": (order.size_bytes, order.sha256),
        "poster": (order.poster_size_bytes, order.poster_sha256),
        "manifest": (None, None),
    }
    found = []
    for kind, key in _keys(order).items():
        size, sha256 = known[kind]
        in_s3 = None if key not in sizes else _seen(size, sizes[key])
        found.append(FileTrace(kind=kind, key=key, uri=uri(key), size_bytes=size, sha256=sha256, in_s3=in_s3))
    return found


def _seen(size: int | None, found: int | None) -> Literal["there", "missing", "other size"]:
    if found is None:
        return "missing"
    return "there" if size in (None, found) else "other size"
