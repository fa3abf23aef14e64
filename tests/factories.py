"""The material of tests: a clock, requests, tasks, ledgers, and orders in any state."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from seedance_dagster.api.wire import GenerationRequest, Mode, Task, TaskStatus
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder, Order, Reported, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.ledger.partitions import PartitionRequest
from seedance_dagster.ledger.transitions import TRANSITIONS
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.storage.keys import object_keys

NOW = datetime(2026, 4, 6, 18, 0, tzinfo=UTC)
POINTS = 4_000_000
"""The estimate of every order, its hold, and its charge when it has a video: 0.40 USD."""
PENALTY = 50_000
"""The charge of a rejected order."""
PREFIX = "seedance"
REQUEST: dict[str, Any] = {
    "task_type": "seedance-2-fast",
    "prompt": "a cat",
    "mode": "text_to_video",
    "duration": 4,
}
ORDER_REQUEST = OrderRequest(idempotency_key="c", run_id="r")
_IDENTITY = ("order_id", "prompt_set", "partition", "fingerprint", "attempt")
_MEDIA = {"duration_s": 4.0, "width": 864, "height": 480, "codec": "h264", "fps": 24.0}


class Clock:
    """A wall clock that only moves when a test moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        """Move ahead, or back by a negative span."""
        self.now += timedelta(**span)


def make_request(prompt: str = "a cat", **fields: Any) -> GenerationRequest:
    """Return one of the cheapest requests."""
    defaults = {"task_type": "seedance-2-fast", "mode": Mode.TEXT_TO_VIDEO, "duration": 4}
    return GenerationRequest(**defaults | {"prompt": prompt} | fields)


def make_prompt_set(*texts: str, name: str = "spots") -> PromptSet:
    """Return a set of requests whose price never changed, 0.40 USD each; the ids are p0, p1, ..."""
    prompts = (
        Prompt(id=f"p{number}", request=make_request(text, task_type="seedance-2"))
        for number, text in enumerate(texts)
    )
    return PromptSet(name=name, prompts=tuple(prompts))


def make_new_order(partition: str = "cat", **fields: Any) -> NewOrder:
    """Return an order to place; its prompt is the partition's name."""
    fields = {"reserved_points": fields.get("estimated_points", POINTS)} | fields
    return NewOrder(
        **{
            "prompt_set": "spots",
            "partition": partition,
            "fingerprint": f"f-{partition}",
            "request": REQUEST | {"prompt": partition, "duration": 5},
            "estimated_points": POINTS,
            "price_table": "goapi-2026-04",
            "price_formula": "unit x seconds",
        }
        | fields
    )


def make_order(order_id: int = 1, *, request: Mapping[str, Any] | None = None, **fields: Any) -> Order:
    """Return an order that is in no ledger, with everything that belongs to its state.

    Args:
        order_id: Also numbers its partition, its fingerprint and its task.
        request: Replaces some fields of its request.
        fields: Replace columns; `state` is submitted unless given.
    """
    order = {
        "order_id": order_id,
        "prompt_set": "spots",
        "partition": f"p{order_id}",
        "fingerprint": f"{order_id:064x}",
        "attempt": 1,
        "state": State.SUBMITTED,
        "request": REQUEST | dict(request or {}),
        "estimated_points": POINTS,
        "reserved_points": POINTS,
        "price_table": "goapi-2026-04",
        "price_formula": "unit x seconds",
        "tags": {},
        "retries": 1,
        "idempotency_key": "c",
        "run_id": "r",
        "ordered_at": NOW - timedelta(minutes=2),
        "booked_at": NOW - timedelta(minutes=2),
    }
    state = fields.get("state", State.SUBMITTED)
    if state is not State.QUEUED:
        order |= {"claimed_at": NOW - timedelta(minutes=1)}
    if state not in {State.QUEUED, State.CLAIMED, State.UNCERTAIN}:
        order |= {"submitted_at": NOW - timedelta(minutes=1), "task_id": f"task-{order_id}"}
    if state is State.STORED:
        order |= _stored_fields(order | fields)
    return Order(**order | fields)


def _stored_fields(order: Mapping[str, Any]) -> dict[str, Any]:
    three_hours_ago, two_hours_ago = NOW - timedelta(hours=3), NOW - timedelta(hours=2)
    return {
        "ordered_at": three_hours_ago,
        "booked_at": three_hours_ago,
        "vendor_created_at": three_hours_ago,
        "vendor_ended_at": two_hours_ago,
        "vendor_logs": [],
        "run_tags": {},
        "points_held": POINTS,
        "points_charged": POINTS,
        **make_artifacts(*(order[name] for name in _IDENTITY)),
        "package_version": "1",
        "code_version": "1",
        "stored_at": two_hours_ago,
    }


def make_artifacts(
    order_id: int, prompt_set: str, partition: str, fingerprint: str, attempt: int, *, prefix: str = PREFIX
) -> dict[str, Any]:
    """Return what the ledger records of a stored video."""
    keys = object_keys(prefix, prompt_set, partition, fingerprint, attempt)
    keys_by_column = {f"{kind}_key": getattr(keys, kind) for kind in ("video", "poster", "manifest")}
    sha256 = f"{order_id:064x}"
    sums = {"sha256": sha256, "delivered_sha256": sha256, "poster_sha256": f"{order_id:063x}f"}
    return keys_by_column | sums | {"size_bytes": 1000, "poster_size_bytes": 100} | _MEDIA


def make_task(number: int = 1, status: TaskStatus = TaskStatus.PROCESSING, **fields: Any) -> Task:
    """Return the vendor's task of the order that `make_order` makes."""
    return Task(
        **{
            "task_id": f"task-{number}",
            "task_type": "seedance-2-fast",
            "status": status,
            "raw_status": status.value,
            "input": {name: value for name, value in REQUEST.items() if name != "task_type"},
            "video_url": None,
            "points_held": POINTS,
            "points_charged": 0,
            "created_at": NOW,
            "started_at": None,
            "ended_at": None,
            "logs": (),
            "error_code": 0,
            "error_message": "",
        }
        | fields
    )


def read_prompts(ledger: Ledger, prompt_set: str, fingerprints: Mapping[str, str]) -> None:
    """Let partitions ask for other requests, as if their file was read and Dagster was given it."""
    asked = {key: PartitionRequest(fingerprint) for key, fingerprint in fingerprints.items()}
    ledger.partitions.update(prompt_set, ledger.partitions.requests(prompt_set) | asked)
    ledger.reports.mark_prompts(prompt_set, fingerprints)


@contextmanager
def open_ledger(where: Path | str, clock: Any) -> Iterator[Ledger]:
    """Open a ledger, on SQLite in a folder or at a URL, until the block ends."""
    ledger = Ledger.open(f"sqlite:///{where}/ledger.db" if isinstance(where, Path) else where, clock=clock)
    try:
        yield ledger
    finally:
        ledger.close()


@dataclasses.dataclass(frozen=True)
class Details:
    """The records of workers on an order's way to a state.

    Attributes:
        worker: Who claims it; its lease lasts an hour.
        held: Points that the vendor holds; None for the estimate.
        charged: Points that it charged; "usual": the estimate, the penalty of a rejection, 0 for a failure.
        task: More of the task when it is submitted.
        outcome: More of the task when it has ended.
        reason: Why it failed, was rejected or is uncertain.
        error_class: The kind of a failure or rejection; None for the usual one.
        retry_at: When its next attempt is due; None for no further attempt.
        artifacts: Replaces what is recorded of a stored video.
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


_BEFORE = {
    State.CLAIMED: State.QUEUED,
    State.UNCERTAIN: State.CLAIMED,
    State.SUBMITTED: State.CLAIMED,
    State.SUCCEEDED: State.SUBMITTED,
    State.REJECTED: State.SUBMITTED,
    State.FAILED: State.SUBMITTED,
    State.STORED: State.SUCCEEDED,
}
_NEW_ORDER, _ORDER_REQUEST, _DETAILS = (
    {field.name for field in dataclasses.fields(kind)} for kind in (NewOrder, OrderRequest, Details)
)


class OrderFactory:
    """Places orders in a ledger and takes each to a state, by the calls that workers make.

    Args:
        ledger: The ledger.
        clock: Its clock.
        paced: The clock moves on: a second with each step, a minute while a task renders.
        prefix: The store's, in the keys of stored videos.
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
        """Take an order to a state, through all that lie between."""
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
        artifacts = make_artifacts(*(getattr(order, name) for name in _IDENTITY), prefix=self.prefix)
        if "sha256" in details.artifacts:
            artifacts["delivered_sha256"] = details.artifacts["sha256"]
        artifacts |= details.artifacts
        stored = self.ledger.tasks.stored(order, actor=details.worker, artifacts=artifacts)
        if details.reported:
            links = self.ledger.partitions.links(stored.order_id)
            self.ledger.reports.mark_reported(links, Reported.STORED)
        return self.ledger.queries.get(stored.order_id)

    def _outcome(self, charged: int, details: Details) -> dict[str, Any]:
        points = charged if details.charged == "usual" else details.charged
        return {"points_charged": points, "vendor_ended_at": self.clock(), **details.outcome}

    def _wait(self, seconds: float) -> None:
        if self._paced:
            self.clock.forward(seconds=seconds)


def _only(names: set[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in names}
