"""Orders whose video is stored: a manifest gives the row, and another system must confirm it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seedance_dagster.api.wire import REMOVE_WATERMARK, Task, TaskStatus
from seedance_dagster.audit.events import differences
from seedance_dagster.audit.evidence import NotRepairableError
from seedance_dagster.audit.missing_orders import order_columns
from seedance_dagster.audit.restore import confirmed_request
from seedance_dagster.audit.snapshots import RecordedEvent
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.restore.remains import TaskRemains
from seedance_dagster.storage.manifest import Manifest

ExpectedMetadata = Callable[[Order], Mapping[str, Any]]


def stored_columns(
    remains: TaskRemains, manifest: Manifest, expected: ExpectedMetadata
) -> tuple[dict[str, Any], str]:
    """Return the columns of a stored order, and the sources that agree on them.

    The vendor's task confirms a manifest; where the task is unknown or shows too little, the event of its
    video does.

    Args:
        remains: The remains of its task.
        manifest: The manifest of its video.
        expected: Returns the metadata that the materialization of a stored order should have.

    Raises:
        NotRepairableError: Nothing confirms the manifest.
    """
    columns = order_columns(manifest)
    if columns is None:
        raise NotRepairableError("its manifest was altered")
    columns["stored_at"] = remains.stored_at
    doubt = NotRepairableError("neither the vendor nor Dagster knows its task")
    if remains.task is not None:
        try:
            return columns | _confirmed(manifest, remains.task), "its manifest and the vendor's task agree"
        except NotRepairableError as error:
            doubt = error
    if remains.video is not None:
        order = Order(order_id=0, state=State.STORED, **columns)
        different = differences(remains.video, order, expected(order), {_shown_at(remains.video, order)})
        if not different:
            return columns, "its manifest and Dagster's event agree"
        if remains.task is None:
            names = ", ".join(different)
            raise NotRepairableError(f"Dagster's event contradicts its manifest: {names}")
    raise doubt


def _confirmed(manifest: Manifest, task: Task) -> dict[str, Any]:
    """Return the columns that the vendor's task adds to a manifest's."""
    if task.status is not TaskStatus.COMPLETED:
        raise NotRepairableError(f"the vendor has its task as {task.raw_status}")
    if manifest.source is None:
        return {"request": confirmed_request(manifest, task).model_dump(mode="json")}
    if task.task_type != REMOVE_WATERMARK:
        raise NotRepairableError("the vendor's task does not remove a watermark")
    return {"source_url": task.input.get("video_url")}


def _shown_at(event: RecordedEvent, order: Order) -> tuple[str, str]:
    """Return the partition at which an event shows an order; the order's own for any other event."""
    made_for = event.metadata.get("seedance/made_for")
    is_own = made_for in (None, f"{order.prompt_set}/{order.partition}")
    return (event.prompt_set, event.partition) if made_for and is_own else (order.prompt_set, order.partition)
