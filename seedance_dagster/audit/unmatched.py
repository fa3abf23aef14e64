"""What no order explains: rows taken out of the ledger, tasks and objects that nobody ordered.

One order that is gone leaves traces in all other books. They are brought together by its task id, so that
it is one finding and not four.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import ValidationError

from seedance_dagster.api.wire import HistoryRow
from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.audit.removed import MissingOrderEvidence
from seedance_dagster.audit.snapshots import GRACE, Scope, Snapshots, StorageSnapshot
from seedance_dagster.engine.reconcile.matching import may_answer
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.money import points_to_usd
from seedance_dagster.storage.keys import OrderFolder, object_keys, order_folder
from seedance_dagster.storage.manifest import Manifest


@dataclass
class Unmatched:
    """What no order explains.

    Attributes:
        removed: Orders whose row is gone.
        folders: Objects that nothing else speaks of.
        rows: Tasks that nothing else speaks of.
    """

    removed: list[MissingOrderEvidence] = field(default_factory=list)
    folders: list[OrderFolder] = field(default_factory=list)
    rows: list[HistoryRow] = field(default_factory=list)


def unexplained_folders(orders: Iterable[Order], book: StorageSnapshot) -> dict[str, OrderFolder]:
    """Folders in S3 that no order of the ledger writes to, by path."""
    owned = set()
    for order in orders:
        keys = object_keys(book.prefix, order.prompt_set, order.partition, order.fingerprint, order.attempt)
        owned |= {_parent(keys.video), _parent(order.video_key or keys.video)}
    found = {}
    for key in book.objects:
        if _parent(key) not in owned and (folder := order_folder(key)) is not None:
            found[folder.path] = folder
    return found


def unexplained_tasks(books: Snapshots) -> list[str]:
    """Ids of tasks in the history that no order owns."""
    return [task_id for task_id in books.vendor.rows if task_id not in books.ledger.owned_tasks]


def unmatched(books: Snapshots, scope: Scope) -> Unmatched:
    """Sort out what no order explains.

    Args:
        books: With the manifests of unexplained folders read.
        scope: What is audited.
    """
    traces: dict[str, MissingOrderEvidence] = {}
    found = Unmatched()
    journals = {entry.task_id or f"order {entry.order_id}": entry for entry in books.ledger.removed}
    for name, journal in journals.items():
        folder = order_folder(journal.video_key) if journal.video_key else None
        traces[name] = MissingOrderEvidence(journal=journal, folder=folder)
    by_folder = {trace.folder.path: name for name, trace in traces.items() if trace.folder is not None}
    for path, folder in unexplained_folders(books.ledger.orders, books.storage).items():
        manifest = _manifest(books.storage, path)
        its = manifest.task_id if manifest is not None else by_folder.get(path)
        if its is None or its in books.ledger.owned_tasks:
            found.folders.append(folder)
            continue
        traces[its] = replace(traces.get(its, MissingOrderEvidence()), folder=folder, manifest=manifest)
    for task_id, telling in books.dagster.told.items():
        if task_id not in books.ledger.owned_tasks:
            traces[task_id] = replace(traces.get(task_id, MissingOrderEvidence()), telling=telling)
    for task_id in unexplained_tasks(books):
        row = books.vendor.rows[task_id]
        if task_id in traces:
            traces[task_id] = replace(traces[task_id], row=row)
        else:
            found.rows.append(row)
    found.removed = [trace for trace in traces.values() if _is_audited(trace, scope)]
    return found


def compare(books: Snapshots, scope: Scope) -> Iterator[Finding]:
    """What is wrong with what no order explains."""
    found = unmatched(books, scope)
    for removed in found.removed:
        yield removed.finding(books.storage)
    for folder in found.folders:
        yield finding(
            Kind.UNMATCHED_OBJECT,
            where=books.storage.uri(folder.path),
            what="objects that no order of the ledger explains",
            prompt_set=folder.prompt_set,
            partition=folder.partition,
        )
    # A task of another set or of nobody cannot be told apart.
    if scope.prompt_set is None:
        for row in found.rows:
            if scope.is_since(row.created_at):
                yield from _unmatched_task(row, books)


def _unmatched_task(row: HistoryRow, books: Snapshots) -> Iterator[Finding]:
    task, advice = books.vendor.tasks.get(row.task_id), None
    if task is not None:
        answers = [
            order
            for order in books.ledger.orders
            if order.state in (State.CLAIMED, State.UNCERTAIN) and may_answer(task, order)
        ]
        if answers and row.created_at is not None and row.created_at > books.read_at - GRACE:
            return  # its answer is on its way, or the next reconciliation finds it
        if answers:
            advice = f"reconcile {answers[0].order_id} --adopt {row.task_id}: that order asks for the same"
    yield finding(
        Kind.UNMATCHED_TASK,
        where=f"task {row.task_id}",
        what=f"{row.task_type or 'a task'}, {row.status or 'no status'}, made {_time(row.created_at)}, "
        f"{points_to_usd(row.points or 0)} USD",
        advice=advice,
        task_id=row.task_id,
        cost_points=row.points or 0,
    )


def _is_audited(trace: MissingOrderEvidence, scope: Scope) -> bool:
    place = trace.place
    in_set = scope.prompt_set is None or (place is not None and place[0] == scope.prompt_set)
    return in_set and scope.is_since(trace.at)


def _manifest(book: StorageSnapshot, path: str) -> Manifest | None:
    seen = book.seen.get(f"{path}/manifest.json")
    if seen is None or seen.body is None:
        return None
    try:
        found = Manifest.model_validate_json(seen.body)
    except ValidationError:
        return None
    return found if found.manifest_key == f"{path}/manifest.json" else None


def _parent(key: str) -> str:
    return key.rpartition("/")[0]


def _time(at: datetime | None) -> str:
    return "at an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
