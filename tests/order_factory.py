"""Orders in any state, brought there by the steps that workers take."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from factories import IDENTITY, PENALTY, PREFIX, make_artifacts, make_new_order

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder, Order, Reported, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.ledger.transitions import TRANSITIONS


@dataclasses.dataclass(frozen=True)
class Details:
    """The records of workers on an order's way to a state.

    Attributes:
        worker: The worker that claims it; its lease lasts an hour.
        held: Points that the vendor holds; None for the estimate.
        charged: Points that it charged; "usual": the estimate, the penalty of a rejection, 0 for a failure.
        task: Further fields of the task when it is submitted.
        outcome: Further fields of the task when it has ended.
        reason: Why it failed, was rejected or is uncertain.
        error_class: The kind of a failure or rejection; None for the usual one.
        retry_at: When its next attempt is due; None for no further attempt.
        artifacts: Replaces recorded fields of a stored video.
        reported: A stored video was reported to Dagster.
    """

    worker: str = "w"
    held: int | None = None
    charged: int | str | None = "usual"
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    outcome: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reason: str = "because"
    error_class: str | None = None
    retry_at: datetime | None = None
    artifacts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reported: bool = False


class OrderFactory:
    """Places orders in a ledger and takes each to a state, by the calls that workers make.

    Args:
        ledger: The ledger.
        clock: Its clock.
        paced: The clock moves on: a second with each step, a minute while a task renders.
        prefix: The store's prefix, with which the keys of stored videos begin.
        defaults: Fields of every order and of its request, and details of its way.
    """

    def __init__(
        self, ledger: Ledger, clock: Any, *, paced: bool = False, prefix: str = PREFIX, **defaults: Any
    ) -> None:
        self.ledger, self.clock, self.prefix = ledger, clock, prefix
        self._paced, self._defaults = paced, defaults
        self._keys = (f"key-{number}" for number in itertools.count(1))

    def place(self, *partitions: str, **fields: Any) -> list[Order]:
        """Place a new order for each partition, whatever was ordered before.

        A `fingerprint` may be a function of the partition.
        """
        fields = self._defaults | fields
        fingerprint = fields.get("fingerprint")
        own = (lambda name: {"fingerprint": fingerprint(name)}) if callable(fingerprint) else (lambda _: {})
        wanted = [make_new_order(name, **_only(_NEW_ORDER, fields) | own(name)) for name in partitions]
        pays_again = {"regenerate": True, "resubmit_rejected": True}
        request = {"idempotency_key": next(self._keys), "run_id": "r"} | pays_again
        placed = self.ledger.orders.place(wanted, OrderRequest(**request | _only(_ORDER_REQUEST, fields)))
        assert {outcome for _, outcome in placed} <= {Outcome.ORDERED}, "an order in flight was joined"
        self._wait(1)
        return [order for order, _ in placed]

    def make(self, state: State = State.QUEUED, partition: str = "cat", **fields: Any) -> Order:
        """Place an order and take it to a state."""
        [order] = self.make_many(state, partition, **fields)
        return order

    def make_many(self, state: State, *partitions: str, **fields: Any) -> list[Order]:
        """Place orders together and take each to the same state."""
        placed = self.place(*partitions, **fields)
        return [self.advance(order, state, **_only(_DETAILS, fields)) for order in placed]

    def advance(self, order: Order, state: State, **details: Any) -> Order:
        """Take an order to a state, through all states in between."""
        return self._advance(order, state, Details(**_only(_DETAILS, self._defaults) | details))

    def _advance(self, order: Order, state: State, details: Details) -> Order:
        if order.state is state:
            return order
        if order.state is State.QUEUED or state not in TRANSITIONS[order.state]:
            order = self._advance(order, _BEFORE[state], details)
        step = {
            State.CLAIMED: self._claim,
            State.UNCERTAIN: self._lose,
            State.SUBMITTED: self._submit,
            State.SUCCEEDED: self._succeed,
            State.STORED: self._store,
            State.REJECTED: self._reject,
            State.FAILED: self._fail,
        }[state]
        return step(order, details)

    def _claim(self, order: Order, details: Details) -> Order:
        [claimed] = self.ledger.claims.take(
            details.worker, limit=1, max_in_flight=None, lease_s=3600, only=[order.order_id]
        )
        self._wait(1)
        return claimed

    def _lose(self, order: Order, details: Details) -> Order:
        return self.ledger.claims.mark_uncertain(order, actor=details.worker, reason=details.reason)

    def _submit(self, order: Order, details: Details) -> Order:
        task = {
            "task_id": f"t-{order.order_id}",
            "points_held": order.estimated_points if details.held is None else details.held,
            "vendor_created_at": self.clock(),
            **details.task,
        }
        return self.ledger.tasks.submitted(order, actor=details.worker, due_at=self.clock(), task=task)

    def _succeed(self, order: Order, details: Details) -> Order:
        self._wait(60)
        task = self._outcome(order.estimated_points, details)
        return self.ledger.tasks.succeeded(order, actor=details.worker, task=task)

    def _reject(self, order: Order, details: Details) -> Order:
        return self._end(order, State.REJECTED, details, error_class="moderation", charged=PENALTY)

    def _fail(self, order: Order, details: Details) -> Order:
        return self._end(order, State.FAILED, details, error_class="vendor", charged=0)

    def _end(self, order: Order, state: State, details: Details, *, error_class: str, charged: int) -> Order:
        self._wait(60)
        ended, _ = self.ledger.tasks.ended(
            order,
            state,
            actor=details.worker,
            error_class=details.error_class or error_class,
            reason=details.reason,
            task=self._outcome(charged, details),
            retry_at=details.retry_at,
        )
        return ended

    def _store(self, order: Order, details: Details) -> Order:
        artifacts = make_artifacts(*(getattr(order, name) for name in IDENTITY), prefix=self.prefix)
        if "sha256" in details.artifacts:
            artifacts["delivered_sha256"] = details.artifacts["sha256"]
        artifacts |= details.artifacts
        stored = self.ledger.tasks.stored(order, actor=details.worker, artifacts=artifacts)
        if details.reported:
            links = self.ledger.reports.links(stored.order_id)
            self.ledger.reports.mark_reported(dict.fromkeys(links, Reported.STORED))
        return self.ledger.queries.get(stored.order_id)

    def _outcome(self, charged: int, details: Details) -> dict[str, Any]:
        points = charged if details.charged == "usual" else details.charged
        return {"points_charged": points, "vendor_ended_at": self.clock(), **details.outcome}

    def _wait(self, seconds: float) -> None:
        if self._paced:
            self.clock.forward(seconds=seconds)


_NEW_ORDER, _ORDER_REQUEST, _DETAILS = (
    {field.name for field in dataclasses.fields(kind)} for kind in (NewOrder, OrderRequest, Details)
)

_BEFORE = {
    State.CLAIMED: State.QUEUED,
    State.UNCERTAIN: State.CLAIMED,
    State.SUBMITTED: State.CLAIMED,
    State.SUCCEEDED: State.SUBMITTED,
    State.REJECTED: State.SUBMITTED,
    State.FAILED: State.SUBMITTED,
    State.STORED: State.SUCCEEDED,
}


def _only(names: set[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in names}
