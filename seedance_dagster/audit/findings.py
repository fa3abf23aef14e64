"""What an audit finds: the kinds of differences, what each costs and what to do about it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from seedance_dagster.ledger.order import Order


class Kind(StrEnum):
    """How two books may differ."""

    UNMATCHED_TASK = "unmatched_task"
    TASK_UNKNOWN = "task_unknown"
    MISSING_ORDER = "missing_order"
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
    SOURCE_UNAVAILABLE = "source_unavailable"


_REPAIR = "audit --repair"
ADVICE = {
    Kind.UNMATCHED_TASK: "find out who used the API key; if the task answers an uncertain order: "
    "reconcile ORDER --adopt TASK",
    Kind.TASK_UNKNOWN: "ask the vendor what became of the task",
    Kind.MISSING_ORDER: f"{_REPAIR} writes the row again from the manifest",
    Kind.NEVER_CHARGED: "expect a later charge; budgets count what the ledger says",
    Kind.CHARGE_DIFFERS: "ask the vendor; the ledger keeps what the task said when it ended",
    Kind.ESTIMATE_OFF: "the price table may be out of date: compare it with the vendor's price page",
    Kind.PAID_NOT_STORED: "see that seedance_sensor is on and what `status` says",
    Kind.MISSING_IN_S3: f"{_REPAIR} fetches it again while the vendor has it",
    Kind.BYTES_CHANGED: f"find out who wrote there; {_REPAIR} fetches it again while the vendor has it",
    Kind.MANIFEST_LOST: f"{_REPAIR} writes it again from the ledger",
    Kind.MANIFEST_ALTERED: f"find out who wrote there; {_REPAIR} writes it again from the ledger",
    Kind.UNMATCHED_OBJECT: "look at it; an audit never deletes anything",
    Kind.NOT_MATERIALIZED: f"{_REPAIR} tells Dagster again",
    Kind.MATERIALIZATION_DIFFERS: f"{_REPAIR} tells Dagster again",
    Kind.SOURCE_UNAVAILABLE: "run the audit again; what could not be read was not compared",
}
"""What to do about each kind, where a finding does not know better."""


class Finding(BaseModel):
    """One difference between the books.

    Attributes:
        kind: How they differ.
        prompt_set: The set; None where it is no one set's.
        partition: The prompt's or take's; None where it is unknown.
        order_id: The ledger's order; None where there is none.
        task_id: The vendor's task; None where there is none.
        where: The thing that is wrong: an s3:// address, a task, a materialization, a row.
        what: What is wrong with it.
        cost_points: The money that it is about, in points; below 0 where less was charged than booked.
        advice: What to do.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    prompt_set: str | None = None
    partition: str | None = None
    order_id: int | None = None
    task_id: str | None = None
    where: str
    what: str
    cost_points: int = 0
    advice: str


def finding(kind: Kind, *, where: str, what: str, advice: str | None = None, **about: object) -> Finding:
    """A finding with its kind's advice, unless another is given; `about` are its other fields."""
    return Finding.model_validate(
        {"kind": kind, "where": where, "what": what, "advice": advice or ADVICE[kind], **about}
    )


def about_order(
    kind: Kind,
    order: Order,
    *,
    where: str,
    what: str,
    cost_points: int | None = None,
    advice: str | None = None,
) -> Finding:
    """A finding about an order; it costs what the order was charged, unless another cost is given."""
    return finding(
        kind,
        where=where,
        what=what,
        advice=advice,
        prompt_set=order.prompt_set,
        partition=order.partition,
        order_id=order.order_id,
        task_id=order.task_id,
        cost_points=paid_points(order) if cost_points is None else cost_points,
    )


def paid_points(order: Order) -> int:
    """What an order was charged, in points; what was held where the charge is not known."""
    return order.points_held or 0 if order.points_charged is None else order.points_charged
