"""The ledger against the vendor: charges, tasks that it does not know, and what was paid and never came."""

from __future__ import annotations

from datetime import datetime

from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.audit.findings import Finding, Kind, about_order
from seedance_dagster.audit.snapshots import GRACE, VendorSnapshot
from seedance_dagster.engine.reconcile.history import unfinished
from seedance_dagster.ledger.order import MANY_TRANSFER_FAILURES, Order, State
from seedance_dagster.money import points_to_usd

_DELIVERED = frozenset({State.SUCCEEDED, State.STORED})
_ENDED = _DELIVERED | {State.REJECTED, State.FAILED}


def needs_verification(
    order: Order, book: VendorSnapshot, *, listed_from: datetime | None, deep: bool = False
) -> bool:
    """True when the history alone does not show that an order agrees: its task is to be read by itself.

    Args:
        order: An audited order.
        book: With the history.
        listed_from: Since when the history lists every task; what is older may have left it.
        deep: Read tasks whose charge the history does not tell.
    """
    if order.task_id is None or order.state not in _ENDED | {State.SUBMITTED}:
        return False
    row = book.rows.get(order.task_id)
    if row is None:
        made_at = order.vendor_created_at or order.submitted_at
        forgotten = listed_from is None or made_at is None or made_at < listed_from
        return not forgotten and order.state is not State.SUBMITTED
    if order.state is State.SUBMITTED:
        return not unfinished(row)
    return deep if row.points is None else row.points != (order.points_charged or 0)


def compare(order: Order, book: VendorSnapshot, *, now: datetime) -> Finding | None:
    """What is wrong between an order and its task; None when they agree or the order is under way.

    Args:
        order: An audited order.
        book: With the tasks of all unclear orders.
        now: UTC.
    """
    if order.task_id is None or order.task_id in book.unread:
        return None
    outstanding = _outstanding(order, book, now)
    if outstanding is not None:
        return _about(Kind.PAID_NOT_STORED, order, outstanding)
    if order.state not in _ENDED:
        return None
    if order.task_id in book.tasks and book.tasks[order.task_id] is None:
        return _about(Kind.TASK_UNKNOWN, order, "the vendor knows no such task")
    return _charge(order, _charged(order.task_id, book))


def _charge(order: Order, charged: int | None) -> Finding | None:
    booked = order.points_charged
    said = "no charge" if booked is None else f"{points_to_usd(booked)} USD"
    if order.state in _DELIVERED and not (booked if charged is None else charged):
        what = f"delivered, the vendor charged nothing; the ledger has {said}"
        return _about(Kind.NEVER_CHARGED, order, what, order.estimated_points)
    if charged is not None and charged != (booked or 0):
        what = f"the vendor charged {points_to_usd(charged)} USD, the ledger has {said}"
        return _about(Kind.CHARGE_DIFFERS, order, what, charged - (booked or 0))
    return None


def _about(kind: Kind, order: Order, what: str, cost_points: int | None = None) -> Finding:
    return about_order(kind, order, where=f"task {order.task_id}", what=what, cost_points=cost_points)


def _charged(task_id: str, book: VendorSnapshot) -> int | None:
    """What the vendor charged, in points; None where it does not say."""
    task = book.tasks.get(task_id)
    if task is not None and task.points_charged is not None:
        return task.points_charged
    row = book.rows.get(task_id)
    return None if row is None else row.points


def _outstanding(order: Order, book: VendorSnapshot, now: datetime) -> str | None:
    """Why a paid video is not stored although it is time; None when it is, or is under way."""
    task = book.tasks.get(str(order.task_id))
    completed = task is not None and task.status is TaskStatus.COMPLETED
    why = f": {order.error_message}" if order.error_message else ""
    match order.state:
        case State.SUCCEEDED:
            late = order.due_at is not None and order.due_at < now - GRACE
            broken = order.transfer_failures >= MANY_TRANSFER_FAILURES
            return f"paid, and nobody brought the video to S3 yet{why}" if late or broken else None
        case State.SUBMITTED if task is not None and completed:
            late = task.ended_at is not None and task.ended_at < now - GRACE
            return f"the vendor has completed it, the ledger still waits for it{why}" if late else None
        case State.REJECTED | State.FAILED if task is not None and completed and task.points_charged:
            return f"the vendor completed and charged it, the ledger says {order.state}{why}"
        case _:
            return None
