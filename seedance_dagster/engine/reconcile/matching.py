"""Matching the vendor's tasks to the orders whose reply was lost, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from seedance_dagster.api.wire import GenerationRequest, Task
from seedance_dagster.ledger.order import Order

CLOCK_SKEW = timedelta(minutes=5)
"""Largest difference between our clock and the vendor's."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NO_REFERENCES = dict.fromkeys(("image_urls", "video_urls", "audio_urls"))


@dataclass(frozen=True)
class Matches:
    """The result of matching.

    Attributes:
        adopted: Task by order id, one to one.
        ambiguous: Ids of orders for which an unmatched task has the same text but renders another video, or
            does not report its text.
    """

    adopted: dict[int, Task]
    ambiguous: frozenset[int]


def differences(task: Task, order: Order) -> list[str]:
    """Return the fields that a task echoes unlike the order's request; none when it renders the order.

    A field that the request left out may be echoed with the vendor's default; references may not.
    """
    request = GenerationRequest.model_validate(order.request, strict=False).to_wire()
    other_type = ["task_type"] if task.task_type not in ("", request["task_type"]) else []
    wanted, echoed = _NO_REFERENCES | request["input"], _echoed(task)
    wanted["prompt"], echoed["prompt"] = _normalize(wanted["prompt"]), prompt_of(task)
    return other_type + [name for name, value in wanted.items() if echoed.get(name) != value]


def prompt_of(task: Task) -> str | None:
    """Return the text that a task renders, with its whitespace normalized; None when it reports none."""
    text = task.input.get("prompt")
    return _normalize(text) or None if isinstance(text, str) else None


def may_answer(task: Task, order: Order) -> bool:
    """Return True when a task renders an order and is not older than it."""
    young = task.created_at is None or task.created_at >= order.ordered_at - CLOCK_SKEW
    return young and not differences(task, order)


def match(orders: Sequence[Order], tasks: Sequence[Task]) -> Matches:
    """Pair uncertain orders with tasks that no order owns.

    Orders with more fields choose first, and each takes the task with the fewest further fields: what one
    order left open, another may have requested. Identical orders take identical tasks in the order of their
    times, one each. An order without a task is ambiguous while an unmatched task has its text, or reports
    none: it is neither adopted nor requeued.

    Args:
        orders: Uncertain orders.
        tasks: Tasks that no order owns, as read one by one.
    """
    adopted: dict[int, Task] = {}
    unmatched = sorted(tasks, key=lambda task: task.created_at or _LONG_AGO)
    for order in sorted(orders, key=_precedence):
        # The first of equals is the oldest.
        candidates = (task for task in unmatched if may_answer(task, order))
        task = min(candidates, key=lambda task: len(_echoed(task)), default=None)
        if task is not None:
            adopted[order.order_id] = task
            unmatched.remove(task)
    unmatched_texts = {prompt_of(task) for task in unmatched}
    ambiguous = {
        order.order_id
        for order in orders
        if order.order_id not in adopted and unmatched_texts & {None, _normalize(order.request["prompt"])}
    }
    return Matches(adopted, frozenset(ambiguous))


def _normalize(text: str) -> str:
    """Make whitespace alike: the vendor may echo a text trimmed."""
    return " ".join(text.split())


def _echoed(task: Task) -> dict[str, Any]:
    return {name: value for name, value in task.input.items() if value not in (None, [])}


def _precedence(order: Order) -> tuple[int, datetime, int]:
    fields = sum(value not in (None, []) for value in order.request.values())
    return -fields, order.claimed_at or _LONG_AGO, order.order_id
