"""The building blocks of tests: a clock, requests, tasks, ledgers, and orders in any state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from made_once import prepare_ledger

from seedance_dagster.api.wire import GenerationRequest, Mode, Task, TaskStatus
from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder, Order, State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.ledger.tables.schema import orders as order_table
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
IDENTITY = ("order_id", "prompt_set", "partition", "fingerprint", "attempt")
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
        **make_artifacts(*(order[name] for name in IDENTITY)),
        "package_version": "1",
        "code_version": "1",
        "stored_at": two_hours_ago,
    }


def make_artifacts(
    order_id: int, prompt_set: str, partition: str, fingerprint: str, attempt: int, *, prefix: str = PREFIX
) -> dict[str, Any]:
    """Return the columns in which the ledger records a stored video."""
    keys = object_keys(prefix, prompt_set, partition, fingerprint, attempt)
    keys_by_column = {f"{kind}_key": getattr(keys, kind) for kind in ("video", "poster", "manifest")}
    sha256 = f"{order_id:064x}"
    sums = {"sha256": sha256, "delivered_sha256": sha256, "poster_sha256": f"{order_id:063x}f"}
    return keys_by_column | sums | {"size_bytes": 1000, "poster_size_bytes": 100} | _MEDIA


def make_task(number: int = 1, status: TaskStatus = TaskStatus.PROCESSING, **fields: Any) -> Task:
    """Return the vendor's task for an order of `make_order`."""
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
    """Record new requests of partitions, as if their file had been read and reported to Dagster."""
    requests = {key: PartitionRequest(fingerprint) for key, fingerprint in fingerprints.items()}
    ledger.partitions.update(prompt_set, ledger.partitions.requests(prompt_set) | requests)
    ledger.reports.mark_prompts(prompt_set, fingerprints)


def remove_row(ledger: Ledger, order_id: int) -> None:
    """Delete the row of an order, as a person with a database client would."""
    with ledger._database.writing() as connection:
        connection.execute(order_table.delete().where(order_table.c.order_id == order_id))


def columns_of(order: Order) -> dict[str, Any]:
    """Return an order's columns without its number and state."""
    return {name: value for name, value in vars(order).items() if name not in ("order_id", "state")}


@contextmanager
def open_ledger(where: Path | str, clock: Any) -> Iterator[Ledger]:
    """Open a ledger, on SQLite in a folder or at a URL, until the block ends."""
    url = f"sqlite:///{where}/ledger.db" if isinstance(where, Path) else where
    prepare_ledger(url)
    ledger = Ledger.open(url, clock=clock)
    try:
        yield ledger
    finally:
        ledger.close()
