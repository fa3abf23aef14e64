"""Orders and tasks made by hand, for what decides without a ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from seedance_dagster.api.wire import Task, TaskStatus
from seedance_dagster.ledger.order import Order, State

NOW = datetime(2026, 4, 6, 18, 0, tzinfo=UTC)
REQUEST: dict[str, Any] = {
    "task_type": "seedance-2-fast",
    "prompt": "a cat",
    "mode": "text_to_video",
    "duration": 4,
}


def make_order(order_id: int = 1, *, request: dict[str, Any] | None = None, **fields: Any) -> Order:
    """A submitted order; `request` replaces some fields of its request."""
    return Order(
        **{
            "order_id": order_id,
            "prompt_set": "spots",
            "partition": f"p{order_id}",
            "fingerprint": f"{order_id:064x}",
            "attempt": 1,
            "state": State.SUBMITTED,
            "request": REQUEST | (request or {}),
            "estimated_points": 4_000_000,
            "price_table": "goapi-2026-04",
            "price_formula": "unit x seconds",
            "tags": {},
            "retries": 1,
            "idempotency_key": "c",
            "run_id": "r",
            "ordered_at": NOW - timedelta(minutes=2),
            "booked_at": NOW - timedelta(minutes=2),
            "claimed_at": NOW - timedelta(minutes=1),
            "submitted_at": NOW - timedelta(minutes=1),
            "task_id": f"task-{order_id}",
        }
        | fields
    )


def make_task(number: int = 1, status: TaskStatus = TaskStatus.PROCESSING, **fields: Any) -> Task:
    """A task that renders the order of `make_order`."""
    given = {"prompt": "a cat", "mode": "text_to_video", "duration": 4}
    return Task(
        **{
            "task_id": f"task-{number}",
            "task_type": "seedance-2-fast",
            "status": status,
            "raw_status": status.value,
            "input": given,
            "video_url": None,
            "points_held": 4_000_000,
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
