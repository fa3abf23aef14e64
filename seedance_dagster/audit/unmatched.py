"""Everything that belongs to no order: missing orders, unmatched tasks and unmatched objects.

A missing order leaves evidence in all other sources. The evidence is joined by task id, so that one missing
order is one finding instead of four.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import ValidationError

from seedance_dagster.api.echo import TEXT_CHANGES
from seedance_dagster.api.limits import Limits
from seedance_dagster.api.wire import HistoryRow
from seedance_dagster.audit.evidence import Evidence
from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.audit.missing_orders import MissingOrderEvidence
from seedance_dagster.audit.snapshots import GRACE, Scope, Snapshots, StorageSnapshot
from seedance_dagster.engine.reconcile.matching import Matcher
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.money import usd_text
from seedance_dagster.storage.keys import OrderFolder, is_own_file, is_replaced, object_keys, order_folder
from seedance_dagster.storage.manifest import Manifest


@dataclass
class Unmatched:
    """Everything that belongs to no order.

    Attributes:
        missing_orders: Orders whose row is missing.
        objects: Folders in S3 that nothing else mentions.
        tasks: Tasks that nothing else mentions.
    """

    missing_orders: list[MissingOrderEvidence] = field(default_factory=list)
    objects: list[OrderFolder] = field(default_factory=list)
    tasks: list[HistoryRow] = field(default_factory=list)


def unmatched_objects(orders: Iterable[Order], storage: StorageSnapshot) -> dict[str, OrderFolder]:
    """Return the folders in S3 that no order of the ledger writes to, by path."""
    owned = set()
    for order in orders:
        keys = object_keys(
            storage.prefix, order.prompt_set, order.partition, order.fingerprint, order.attempt
        )
        owned |= {_parent(keys.video), _parent(order.video_key or keys.video)}
    folders = {}
    for key in storage.objects:
        if _parent(key) not in owned and not is_replaced(key) and (folder := order_folder(key)) is not None:
            folders[folder.path] = folder
    return folders


def unmatched_tasks(snapshots: Snapshots) -> list[str]:
    """Return the ids of tasks in the vendor's history that no order owns."""
    return [task_id for task_id in snapshots.vendor.history if task_id not in snapshots.ledger.owned_tasks]


def find_unmatched(snapshots: Snapshots, scope: Scope) -> Unmatched:
    """Sort everything that no order owns into missing orders, objects and tasks.

    Args:
        snapshots: Snapshots that have the manifests in unmatched folders.
    """
    owned_tasks = snapshots.ledger.owned_tasks
    evidence: dict[str, MissingOrderEvidence] = {}
    result = Unmatched()
    for journal in snapshots.ledger.missing_orders:
        folder = order_folder(journal.video_key) if journal.video_key else None
        name = journal.task_id or f"order {journal.order_id}"
        evidence[name] = MissingOrderEvidence(journal=journal, folder=folder)
    by_path = {order.folder.path: name for name, order in evidence.items() if order.folder is not None}
    for path, folder in unmatched_objects(snapshots.ledger.orders, snapshots.storage).items():
        manifest = _manifest(snapshots.storage, path)
        owner = manifest.task_id if manifest is not None else by_path.get(path)
        if owner is None or owner in owned_tasks:
            result.objects.append(folder)
            continue
        evidence[owner] = replace(
            evidence.get(owner, MissingOrderEvidence()), folder=folder, manifest=manifest
        )
    for task_id, event in snapshots.dagster.reported.items():
        if task_id not in owned_tasks:
            evidence[task_id] = replace(evidence.get(task_id, MissingOrderEvidence()), event=event)
    for task_id in unmatched_tasks(snapshots):
        row = snapshots.vendor.history[task_id]
        if task_id in evidence:
            evidence[task_id] = replace(evidence[task_id], task=row)
        else:
            result.tasks.append(row)
    result.missing_orders = [order for order in evidence.values() if _is_audited(order, scope)]
    return result


def compare(snapshots: Snapshots, scope: Scope) -> Iterator[Finding]:
    """Yield a finding for everything that belongs to no order."""
    unmatched = find_unmatched(snapshots, scope)
    for missing_order in unmatched.missing_orders:
        yield missing_order.finding(snapshots)
    for folder in unmatched.objects:
        yield finding(
            Kind.UNMATCHED_OBJECT,
            location=snapshots.storage.uri(folder.path),
            message="objects that belong to no order of the ledger",
            evidence=(Evidence(fact="order", objects=folder.path),),
            prompt_set=folder.prompt_set,
            partition=folder.partition,
        )
    yield from _foreign_files(snapshots)
    # The history does not say which set a task is for, so an audit of one set leaves tasks out.
    if scope.prompt_set is None:
        for row in unmatched.tasks:
            if scope.covers_time(row.created_at):
                yield from _unmatched_task(row, snapshots)


def _foreign_files(snapshots: Snapshots) -> Iterator[Finding]:
    """Yield a finding for each folder with files that this program does not write."""
    storage = snapshots.storage
    foreign: defaultdict[str, list[str]] = defaultdict(list)
    for key in storage.objects:
        if order_folder(key) is None and not is_replaced(key) and not is_own_file(storage.prefix, key):
            foreign[_parent(key)].append(key)
    for folder, keys in foreign.items():
        others = f", and {len(keys) - 1} more in its folder" if len(keys) > 1 else ""
        yield finding(
            Kind.UNMATCHED_OBJECT,
            location=storage.uri(keys[0]),
            message=f"a file that this program does not write{others}",
            evidence=(Evidence(fact="order", objects=folder),),
        )


def _unmatched_task(row: HistoryRow, snapshots: Snapshots) -> Iterator[Finding]:
    task, advice = snapshots.vendor.tasks.get(row.task_id), None
    matcher = Matcher(Limits.load(), frozenset(TEXT_CHANGES))
    if task is not None:
        candidates = [
            order
            for order in snapshots.ledger.orders
            if order.state in (State.CLAIMED, State.UNCERTAIN)
            and task.mark in (None, order.mark)
            and not matcher.differences(task, order)
        ]
        if candidates and row.created_at is not None and row.created_at > snapshots.read_at - GRACE:
            return  # the reply is on its way, or the next reconciliation finds the task
        if candidates:
            advice = (
                f"run reconcile {candidates[0].order_id} --adopt {row.task_id}: that order asks for the same"
            )
    created = "at an unknown time" if row.created_at is None else _time(row.created_at)
    yield finding(
        Kind.UNMATCHED_TASK,
        location=f"task {row.task_id}",
        message=f"{row.task_type or 'unknown task type'}, {row.status or 'no status'}, created {created}, "
        f"{usd_text(row.points or 0)}",
        advice=advice,
        task_id=row.task_id,
        cost_points=row.points or 0,
        evidence=(Evidence(fact="task_id", vendor=row.task_id),),
    )


def _is_audited(evidence: MissingOrderEvidence, scope: Scope) -> bool:
    in_set = scope.prompt_set is None or (evidence.partition or (None,))[0] == scope.prompt_set
    return in_set and scope.covers_time(evidence.at)


def _manifest(storage: StorageSnapshot, path: str) -> Manifest | None:
    inspected = storage.inspected.get(f"{path}/manifest.json")
    if inspected is None or inspected.body is None:
        return None
    try:
        manifest = Manifest.model_validate_json(inspected.body)
    except ValidationError:
        return None
    return manifest if manifest.manifest_key == f"{path}/manifest.json" else None


def _parent(key: str) -> str:
    return key.rpartition("/")[0]


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
