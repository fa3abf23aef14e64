"""Comparison of tasks with orders that remove the watermark of a video: their request is the video's link."""

from __future__ import annotations

from seedance_dagster.api.wire import Task
from seedance_dagster.ledger.order import Order
from seedance_dagster.net.secrets import without_secrets
from seedance_dagster.prompts.links import unsigned_link

OWN_COPY = "asset://"
"""The beginning of links to the vendor's own copies of references."""


def removal_differences(task: Task, order: Order) -> list[str]:
    """Return the fields in which a task differs from the removal that an order requested; none when equal."""
    other_type = [] if task.is_of_type(order.task_type) else ["task_type"]
    return other_type + ([] if _same_video(task, order) else ["video_url"])


def may_be_removal(task: Task, order: Order) -> bool:
    """Return True when a task may be that of a removal: nothing that it shows excludes that."""
    renders = isinstance(text := task.input.get("prompt"), str) and text.strip()
    shows_video = bool(task.input.get("video_url"))
    return task.is_of_type(order.task_type) and not renders and (not shows_video or _same_video(task, order))


def _same_video(task: Task, order: Order) -> bool:
    """Return True for the link that was sent, however it is signed, and for the vendor's own copy."""
    echoed = task.input.get("video_url")
    if not isinstance(echoed, str):
        return False
    sent = without_secrets(str(order.source_url))
    return echoed.startswith(OWN_COPY) or unsigned_link(echoed) == unsigned_link(sent)
