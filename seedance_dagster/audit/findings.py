"""Findings of an audit: their kinds, what each costs and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from seedance_dagster.audit.evidence import Evidence
from seedance_dagster.ledger.order import Order


class Kind(StrEnum):
    """A kind of difference between two sources."""

    UNMATCHED_TASK = "unmatched_task"
    TASK_UNKNOWN = "task_unknown"
    MISSING_ORDER = "missing_order"
    ORDER_ALTERED = "order_altered"
    JOURNAL_DIFFERS = "journal_differs"
    ARCHIVE_LOST = "archive_lost"
    BOOKING_DIFFERS = "booking_differs"
    STATE_DIFFERS = "state_differs"
    REQUEST_DIFFERS = "request_differs"
    NEVER_CHARGED = "never_charged"
    CHARGE_DIFFERS = "charge_differs"
    ESTIMATE_OFF = "estimate_off"
    PAID_NOT_STORED = "paid_not_stored"
    MISSING_IN_S3 = "missing_in_s3"
    BYTES_CHANGED = "bytes_changed"
    MANIFEST_LOST = "manifest_lost"
    MANIFEST_ALTERED = "manifest_altered"
    UNMATCHED_OBJECT = "unmatched_object"
    NOT_MATERIALIZED = "not_materialized"
    MATERIALIZATION_DIFFERS = "materialization_differs"
    TASK_MATERIALIZATION_DIFFERS = "task_materialization_differs"
    INDEX_DIFFERS = "index_differs"
    SOURCE_UNAVAILABLE = "source_unavailable"


_REPAIR, _WRITER = "audit --repair", "find out who wrote there; "
ADVICE = {
    Kind.UNMATCHED_TASK: "find out who used the API key; if the task belongs to an uncertain order, "
    "run reconcile ORDER --adopt TASK_ID",
    Kind.TASK_UNKNOWN: "ask the vendor what became of the task",
    Kind.MISSING_ORDER: f"{_REPAIR} restores the order from its manifest",
    Kind.ORDER_ALTERED: "find out who wrote to the ledger, and restore the row from a backup; "
    "S3 and Dagster stay as they are",
    Kind.JOURNAL_DIFFERS: "find out who wrote to the ledger: each step of an order has an entry",
    Kind.ARCHIVE_LOST: "restore this object from an older version or a backup of the bucket; orders and "
    "their money are in the ledger",
    Kind.BOOKING_DIFFERS: "find out who wrote to the ledger: budgets of another day or month may count it",
    Kind.STATE_DIFFERS: "see `seedance-dagster trace`, and ask the vendor what became of the task",
    Kind.REQUEST_DIFFERS: "look at the video: the vendor was asked for something else, or changed it",
    Kind.NEVER_CHARGED: "expect a later charge; budgets count what the ledger says",
    Kind.CHARGE_DIFFERS: "ask the vendor; the ledger keeps what the task said when it ended",
    Kind.ESTIMATE_OFF: "the price table may be out of date: compare it with the vendor's price page",
    Kind.PAID_NOT_STORED: "check that seedance_sensor is running, and see `seedance-dagster status`",
    Kind.MISSING_IN_S3: f"{_REPAIR} fetches it again while the vendor has it",
    Kind.BYTES_CHANGED: f"{_WRITER}{_REPAIR} fetches it again while the vendor has it",
    Kind.MANIFEST_LOST: f"{_REPAIR} writes it again from the ledger",
    Kind.MANIFEST_ALTERED: f"{_WRITER}{_REPAIR} writes it again from the ledger",
    Kind.UNMATCHED_OBJECT: "look at it; an audit never deletes anything",
    Kind.NOT_MATERIALIZED: f"{_REPAIR} reports it to Dagster again",
    Kind.MATERIALIZATION_DIFFERS: f"{_REPAIR} reports it to Dagster again",
    Kind.TASK_MATERIALIZATION_DIFFERS: f"{_REPAIR} reports it to Dagster again",
    Kind.INDEX_DIFFERS: f"{_REPAIR} writes and reports it again where two systems agree; else materialize it",
    Kind.SOURCE_UNAVAILABLE: "run the audit again; what could not be read was not compared",
}
"""Advice for each kind, unless a finding has better advice."""
POSTER_ADVICE = {
    Kind.MISSING_IN_S3: f"{_REPAIR} cuts it again from the stored video",
    Kind.BYTES_CHANGED: f"{_WRITER}{_REPAIR} cuts it again from the stored video",
}
"""Advice where only the poster is concerned: the vendor is not needed."""


class Finding(BaseModel):
    """A difference between two sources.

    Attributes:
        prompt_set: None where the finding is not about one set.
        partition: None where it is unknown.
        order_id: None where the ledger has no order for it.
        task_id: None where the vendor has no task for it.
        location: The thing that is wrong: an s3:// URI, a task, a materialization, an order.
        message: The problem with it.
        cost_points: The money at stake, in points; negative where less was charged than booked.
        advice: What to do.
        evidence: The statements of each system about the facts in question.
        facts: The names of these facts, until the evidence is there.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    prompt_set: str | None = None
    partition: str | None = None
    order_id: int | None = None
    task_id: str | None = None
    location: str
    message: str
    cost_points: int = 0
    advice: str
    evidence: tuple[Evidence, ...] = ()
    facts: tuple[str, ...] = Field(default=(), exclude=True)


def finding(
    kind: Kind, *, location: str, message: str, advice: str | None = None, **fields: object
) -> Finding:
    """Return a finding with the advice for its kind, unless `advice` is given."""
    return Finding.model_validate(
        {"kind": kind, "location": location, "message": message, "advice": advice or ADVICE[kind], **fields}
    )


def order_finding(
    kind: Kind,
    order: Order,
    *,
    location: str,
    message: str,
    facts: Iterable[str] = (),
    cost_points: int | None = None,
    advice: str | None = None,
) -> Finding:
    """Return a finding about an order; its cost is the order's charge, unless `cost_points` is given.

    Args:
        advice: What to do, if it is not the advice for its kind.
        facts: The facts that the finding is about, by their names in `audit.facts`.
    """
    return finding(
        kind,
        location=location,
        message=message,
        advice=advice,
        prompt_set=order.prompt_set,
        partition=order.partition,
        order_id=order.order_id,
        task_id=order.task_id,
        facts=tuple(facts),
        cost_points=paid_points(order) if cost_points is None else cost_points,
    )


def paid_points(order: Order) -> int:
    """Return an order's charge, in points; its hold where the charge is unknown."""
    return order.points_held or 0 if order.points_charged is None else order.points_charged
