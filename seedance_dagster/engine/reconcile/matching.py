"""Which of the vendor's tasks is the answer to which lost POST: a pure comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from seedance_dagster.api.wire import GenerationRequest, Task
from seedance_dagster.ledger.order import Order

CLOCK_SKEW = timedelta(minutes=5)
"""How far our clock and the vendor's may be apart."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NO_REFERENCES = dict.fromkeys(("image_urls", "video_urls", "audio_urls"))


@dataclass(frozen=True)
class Matches:
    """What a comparison came to.

    Attributes:
        adopted: Task by order id, one to one.
        doubtful: Order ids for which a task asks for the same text but not for the same video, or does not
            tell what it asks for.
    """

    adopted: dict[int, Task]
    doubtful: frozenset[int]


def differences(task: Task, order: Order) -> list[str]:
    """What a task does not echo as the order's request said it; empty when it renders the order.

    What the request left out may be echoed as the vendor's default, references that it does not have may not.
    """
    request = GenerationRequest.model_validate(order.request, strict=False).to_wire()
    other_type = ["task_type"] if task.task_type not in ("", request["task_type"]) else []
    wanted, echoed = _NO_REFERENCES | request["input"], _given(task)
    wanted["prompt"], echoed["prompt"] = _plain(wanted["prompt"]), prompt_of(task)
    return other_type + [name for name, value in wanted.items() if echoed.get(name) != value]


def prompt_of(task: Task) -> str | None:
    """The text that a task renders, its blanks made alike; None when it tells none."""
    text = task.input.get("prompt")
    return _plain(text) or None if isinstance(text, str) else None


def may_answer(task: Task, order: Order) -> bool:
    """True when a task renders an order and is not older than it."""
    young = task.created_at is None or task.created_at >= order.ordered_at - CLOCK_SKEW
    return young and not differences(task, order)


def match(orders: Sequence[Order], tasks: Sequence[Task]) -> Matches:
    """Pair uncertain orders with tasks that no order owns.

    Orders that say more choose first, and each takes the task that says least beyond the order: what one
    order left open, another may have asked for. Identical orders take identical tasks in the order of
    their times, one each. An order left over while a task is left over too that has its text, or tells
    none, is doubtful: neither adopted nor to be freed.

    Args:
        orders: Uncertain orders.
        tasks: Unowned tasks, as read one by one.
    """
    adopted: dict[int, Task] = {}
    free = sorted(tasks, key=lambda task: task.created_at or _LONG_AGO)
    for order in sorted(orders, key=_turn):
        # The first of equals is the oldest.
        found = min((task for task in free if may_answer(task, order)), key=_says, default=None)
        if found is not None:
            adopted[order.order_id] = found
            free.remove(found)
    left_texts = {prompt_of(task) for task in free}
    doubtful = {
        order.order_id
        for order in orders
        if order.order_id not in adopted and left_texts & {None, _plain(order.request["prompt"])}
    }
    return Matches(adopted, frozenset(doubtful))


def _plain(text: str) -> str:
    """Blanks and line ends made alike: the vendor may echo a text trimmed."""
    return " ".join(text.split())


def _given(task: Task) -> dict[str, Any]:
    return {name: value for name, value in task.input.items() if value not in (None, [])}


def _says(task: Task) -> int:
    return len(_given(task))


def _turn(order: Order) -> tuple[int, datetime, int]:
    said = sum(value not in (None, []) for value in order.request.values())
    return -said, order.claimed_at or _LONG_AGO, order.order_id
