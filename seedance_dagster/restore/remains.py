"""The remains of orders at the vendor, in S3 and in Dagster that a ledger lacks, joined task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from seedance_dagster.api.wire import HistoryRow, Task
from seedance_dagster.audit.events import Orchestrator
from seedance_dagster.audit.read import read_snapshots
from seedance_dagster.audit.snapshots import RecordedEvent, Scope, Snapshots
from seedance_dagster.audit.sources import Progress
from seedance_dagster.audit.storage import Verification
from seedance_dagster.audit.verify import inspect_objects, read_tasks
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.storage.keys import OrderFolder, order_folder
from seedance_dagster.storage.manifest import Manifest
from seedance_dagster.threads import in_thread

ENDED = frozenset({State.STORED, State.REJECTED, State.FAILED})
"""States in which an order stays; later damage is left to an audit."""


@dataclass(frozen=True, kw_only=True)
class TaskRemains:
    """Everything that is known of a task outside the ledger.

    Attributes:
        row: Its entry in the vendor's history.
        task: The task itself; None where the vendor does not know it.
        manifest: The manifest of its video.
        stored_at: When the manifest was written.
        video: Dagster's event of its video.
        submitted: Dagster's event of its submission.
    """

    task_id: str
    row: HistoryRow | None = None
    task: Task | None = None
    manifest: Manifest | None = None
    stored_at: datetime | None = None
    video: RecordedEvent | None = None
    submitted: RecordedEvent | None = None

    @property
    def event(self) -> RecordedEvent | None:
        """An event that names its request and attempt."""
        return self.video or self.submitted

    @property
    def created_at(self) -> datetime | None:
        """The time at which the vendor made it, or else the earliest known time."""
        created = [source.created_at for source in (self.task, self.row) if source is not None]
        reported = [event.at for event in (self.submitted, self.video) if event is not None]
        ordered = [] if self.manifest is None else [self.manifest.ordered_at]
        return next((at for at in (*created, *ordered, *reported) if at is not None), None)

    @property
    def points(self) -> int:
        """Its charge or hold, in points; 0 where neither is known."""
        task, row = self.task, self.row
        known = (
            self.manifest.points_charged if self.manifest is not None else None,
            (task.points_charged or task.points_held) if task is not None else None,
            row.points if row is not None else None,
        )
        return next(filter(None, known), 0)


@dataclass(frozen=True, kw_only=True)
class Remains:
    """Everything that is left of a ledger's orders.

    Attributes:
        read_at: When reading began (UTC).
        account: The account whose history was read.
        orders: The orders that the ledger has.
        tasks: Tasks that no ended order owns, the oldest first.
        folders: The orders' folders in S3.
        sets: The prompt sets as they are now.
        bucket: The address of the bucket, for messages.
        problem: Why there may be more tasks at the vendor; None when all were read.
    """

    read_at: datetime
    account: str
    orders: Sequence[Order]
    tasks: Sequence[TaskRemains]
    folders: Sequence[OrderFolder] = ()
    sets: Sequence[PromptSet] = ()
    bucket: str = ""
    problem: str | None = None


async def read_remains(
    services: Services,
    orchestrator: Orchestrator,
    sets: Sequence[PromptSet],
    *,
    since: datetime,
    progress: Progress,
) -> Remains:
    """Read the remains of a ledger's orders.

    Args:
        services: The services, with the ledger to restore.
        since: When the ledger was made (UTC).
        progress: Called with the progress of each step.

    Raises:
        SeedanceError: The vendor cannot be read.
        StoreError: S3 cannot be read.
        LedgerError: The ledger cannot be read.
    """
    async with services.open_client() as client:
        account = client.account_name
    names = [prompt_set.name for prompt_set in sets]
    snapshots = await read_snapshots(services, orchestrator, Scope(since=since), progress, sets=names)
    manifests = await in_thread(_read_manifests, services, snapshots, progress)
    unowned = _unowned_tasks(snapshots, manifests)
    tasks, problem = await read_tasks(services, unowned, progress)
    objects, dagster = snapshots.storage.objects, snapshots.dagster
    remains = [
        TaskRemains(
            task_id=task_id,
            row=snapshots.vendor.history.get(task_id),
            task=tasks.get(task_id),
            manifest=manifest,
            stored_at=None if manifest is None else objects[manifest.manifest_key].modified_at,
            video=dagster.reported.get(task_id),
            submitted=dagster.submitted.get(task_id),
        )
        for task_id, manifest in ((task_id, manifests.get(task_id)) for task_id in unowned)
    ]
    folders = {folder.path: folder for folder in filter(None, map(order_folder, objects))}
    return Remains(
        read_at=snapshots.read_at,
        account=account,
        orders=snapshots.ledger.orders,
        tasks=sorted(remains, key=lambda task: (task.created_at or snapshots.read_at, task.task_id)),
        folders=tuple(folders.values()),
        sets=sets,
        bucket=snapshots.storage.uri(""),
        problem=snapshots.vendor.problem or problem,
    )


def _unowned_tasks(snapshots: Snapshots, manifests: Mapping[str, Manifest]) -> list[str]:
    """Return the tasks that no order owns, and those of open orders whose video is stored."""
    owners = {order.task_id: order for order in snapshots.ledger.orders if order.task_id is not None}
    dagster = snapshots.dagster
    task_ids = dict.fromkeys([*manifests, *dagster.submitted, *dagster.reported, *snapshots.vendor.history])

    def is_wanted(task_id: str) -> bool:
        owner = owners.get(task_id)
        return owner is None or (owner.state not in ENDED and task_id in manifests)

    return list(filter(is_wanted, task_ids))


def _read_manifests(services: Services, snapshots: Snapshots, progress: Progress) -> dict[str, Manifest]:
    """Return the manifests of videos that the ledger does not have as stored, by task id."""
    stored = {order.manifest_key for order in snapshots.ledger.orders if order.state is State.STORED}
    keys = [
        key
        for key in snapshots.storage.objects
        if key not in stored and (folder := order_folder(key)) is not None and folder.file == "manifest"
    ]
    results = inspect_objects(services.store, dict.fromkeys(keys, Verification.READ), progress)
    bodies = ((key, inspected.body) for key, inspected in results if inspected is not None)
    parsed = filter(None, (_manifest(key, body) for key, body in bodies))
    return {manifest.task_id: manifest for manifest in parsed}


def _manifest(key: str, body: bytes | None) -> Manifest | None:
    try:
        manifest = Manifest.model_validate_json(body or b"")
    except ValidationError:
        return None
    return manifest if manifest.manifest_key == key else None
