"""The ledger against the vendor: charges that differ, unknown tasks, videos paid for and not stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from seedance_dagster.api.shapes import status_meaning
from seedance_dagster.api.wire import Task, TaskStatus
from seedance_dagster.audit.facts import echoed_request, ledger_facts
from seedance_dagster.audit.findings import Finding, Kind, finding, order_finding
from seedance_dagster.audit.snapshots import GRACE, VendorSnapshot
from seedance_dagster.engine.reconcile.history import is_unfinished
from seedance_dagster.health import price_drifts, transfer_is_broken
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.money import usd_text

_DELIVERED = frozenset({State.SUCCEEDED, State.STORED})
_FACTS = {
    Kind.PAID_NOT_STORED: ("state", "points_charged"),
    Kind.TASK_UNKNOWN: ("task_id", "state"),
    Kind.STATE_DIFFERS: ("state", "points_charged"),
    Kind.NEVER_CHARGED: ("points_charged",),
    Kind.CHARGE_DIFFERS: ("points_charged",),
}
_NOT_FETCHED = (
    "its order was given up, so nothing fetches it: save the video from the vendor's site while it is there"
)
_ENDED = _DELIVERED | {State.REJECTED, State.FAILED}


def needs_verification(
    order: Order, vendor: VendorSnapshot, *, complete_since: datetime | None, deep: bool = False
) -> bool:
    """Return True when the history alone does not show that an order agrees: its task must be read.

    Args:
        complete_since: The time since which the history lists every task; it may have forgotten older ones.
        deep: Read every task: only the task itself shows its request.
    """
    if order.task_id is None or order.state not in _ENDED | {State.SUBMITTED}:
        return False
    row = vendor.history.get(order.task_id)
    if deep:
        return True
    if row is None:
        return order.state is not State.SUBMITTED and not _is_forgotten(order, complete_since)
    if order.state is State.SUBMITTED:
        return not is_unfinished(row)
    ended = status_meaning(row.status)
    contradicts = {"failed": order.state in _DELIVERED, "completed": order.state not in _DELIVERED}
    return contradicts.get(ended or "", False) or row.points not in (None, order.points_charged or 0)


def compare(order: Order, vendor: VendorSnapshot, *, now: datetime) -> Iterator[Finding]:
    """Yield the differences between an order and its task; none while the order is under way.

    Args:
        vendor: A snapshot that has the tasks of all orders that need verification.
        now: UTC.
    """
    if order.task_id is None or order.task_id in vendor.unread:
        return
    task = vendor.tasks.get(order.task_id)
    if task is not None:
        yield from _compare_request(order, task)
    outstanding = _outstanding(order, vendor, now)
    if outstanding is not None:
        given_up = order.state in {State.REJECTED, State.FAILED}
        advice = _NOT_FETCHED if given_up else None
        yield _task_finding(Kind.PAID_NOT_STORED, order, outstanding, advice=advice)
        return
    if task is not None and (difference := _state_difference(order, task, now)) is not None:
        yield _task_finding(Kind.STATE_DIFFERS, order, difference)
    if order.state not in _ENDED:
        return
    unknown = order.task_id in vendor.tasks and task is None
    if unknown and (order.task_id in vendor.history or not _is_forgotten(order, vendor.complete_since())):
        yield _task_finding(Kind.TASK_UNKNOWN, order, "the vendor does not know this task")
        return
    charge = _compare_charge(order, _charged(order.task_id, vendor))
    if charge is not None:
        yield charge


def _compare_request(order: Order, task: Task) -> Iterator[Finding]:
    ordered = ledger_facts(order)
    echoed = echoed_request(task, ordered)
    names = [name for name, value in echoed.items() if name in ordered and ordered[name] != value]
    if names:
        yield order_finding(
            Kind.REQUEST_DIFFERS,
            order,
            location=f"task {task.task_id}",
            message=f"the task's request differs from the order's in {', '.join(names)}",
            facts=names,
        )


def _state_difference(order: Order, task: Task, now: datetime) -> str | None:
    """Return how the vendor's state of a task contradicts the ledger's; None where it does not."""
    if task.status is TaskStatus.UNKNOWN:
        return None
    ended = task.status is TaskStatus.ENDED  # as a cancelled task does, and a finished one after a while
    failed = ended or task.status is TaskStatus.FAILED
    completed = ended or task.status is TaskStatus.COMPLETED
    long_ago = task.ended_at is not None and task.ended_at < now - GRACE
    contradicts = {
        State.SUBMITTED: failed and long_ago,
        State.SUCCEEDED: not completed,
        State.STORED: not completed,
        State.REJECTED: not failed,
        State.FAILED: not failed,
    }
    if not contradicts.get(order.state, False):
        return None
    return f"the vendor has it as {task.raw_status.strip()}, and the ledger as {order.state}"


def _is_forgotten(order: Order, complete_since: datetime | None) -> bool:
    """Return True where the vendor may have forgotten a task because it is old."""
    created_at = order.vendor_created_at or order.submitted_at
    return complete_since is None or created_at is None or created_at < complete_since


def outdated_prices(orders: Iterable[Order]) -> Iterator[Finding]:
    """Yield one finding for each task type whose price table is out of date."""
    for drift in price_drifts(orders):
        if drift.outdated:
            yield finding(
                Kind.ESTIMATE_OFF,
                location=f"price table {drift.price_table}, {drift.price}",
                message=str(drift),
                cost_points=drift.difference_points,
            )


def _compare_charge(order: Order, charged: int | None) -> Finding | None:
    booked = order.points_charged
    in_ledger = "no charge" if booked is None else f"{usd_text(booked)}"
    if order.state in _DELIVERED and not (booked if charged is None else charged):
        message = f"delivered, and the vendor charged nothing; the ledger has {in_ledger}"
        return _task_finding(Kind.NEVER_CHARGED, order, message, order.estimated_points)
    if charged is not None and charged != (booked or 0):
        message = f"the vendor charged {usd_text(charged)}; the ledger has {in_ledger}"
        return _task_finding(Kind.CHARGE_DIFFERS, order, message, charged - (booked or 0))
    return None


def _task_finding(
    kind: Kind, order: Order, message: str, cost_points: int | None = None, *, advice: str | None = None
) -> Finding:
    return order_finding(
        kind,
        order,
        location=f"task {order.task_id}",
        message=message,
        facts=_FACTS[kind],
        cost_points=cost_points,
        advice=advice,
    )


def _charged(task_id: str, vendor: VendorSnapshot) -> int | None:
    """Return the vendor's charge, in points; None where it reports none."""
    task = vendor.tasks.get(task_id)
    if task is not None and task.points_charged is not None:
        return task.points_charged
    row = vendor.history.get(task_id)
    return None if row is None else row.points


def _outstanding(order: Order, vendor: VendorSnapshot, now: datetime) -> str | None:
    """Return the reason why a paid video is overdue; None when it is stored or still under way."""
    task = vendor.tasks.get(str(order.task_id))
    completed = task is not None and task.status is TaskStatus.COMPLETED
    reason = f": {order.error_message}" if order.error_message else ""
    match order.state:
        case State.SUCCEEDED:
            late = order.due_at is not None and order.due_at < now - GRACE
            overdue = late or transfer_is_broken(order)
            return f"paid, and its video is not in S3 yet{reason}" if overdue else None
        case State.SUBMITTED if task is not None and completed:
            late = task.ended_at is not None and task.ended_at < now - GRACE
            return f"the vendor completed it, and the ledger still waits for it{reason}" if late else None
        case State.REJECTED | State.FAILED if task is not None and completed and task.points_charged:
            return f"the vendor completed and charged it, and the ledger has it as {order.state}{reason}"
        case _:
            return None
