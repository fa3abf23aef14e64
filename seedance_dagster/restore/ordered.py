"""Orders whose task is known and whose video is not stored: what they asked for, and their row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.wire import REFERENCE_KINDS, GenerationRequest, Task, whole_number
from seedance_dagster.engine.lifecycle import Collect, End, after_poll, task_columns
from seedance_dagster.engine.policy import Pacing
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.money import usd_to_points
from seedance_dagster.net.redaction import strip_query
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.restore.remains import TaskRemains

_TAKE = re.compile(r"\.t([1-9][0-9]*)(?:\.final)?$")

RESTORED = "restore"
"""The run of orders whose own run is not known any more."""

FORGOTTEN = "forgotten"
"""The error class of a restored order whose task the vendor does not know any more."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The request of an order, and the partition that it was made for."""

    prompt_set: str
    partition: str
    fingerprint: str
    take: int
    scope: str
    request: GenerationRequest
    tags: dict[str, str]
    rights: dict[str, dict[str, str]] | None = None


def asked_by(sets: Sequence[PromptSet]) -> Iterator[Asked]:
    """Yield what the prompt sets ask for: the video itself, and with it the video without a watermark."""
    for prompt_set in sets:
        for key, partition in prompt_set.all_partitions.items():
            asked = Asked(
                prompt_set=prompt_set.name,
                partition=key,
                fingerprint=partition.fingerprint,
                take=partition.take,
                scope=partition.scope,
                request=partition.request,
                tags=dict(partition.tags),
                rights={name: dict(each) for name, each in partition.rights.items()} or None,
            )
            yield asked
            if partition.request.remove_watermark:
                rendered = partition.request.with_watermark
                yield replace(asked, request=rendered, fingerprint=fingerprint(rendered))


def asked_in_event(remains: TaskRemains, known: Mapping[str, Sequence[Asked]]) -> tuple[Asked, int] | None:
    """Return what the order of an event asked for, and its attempt; None where nothing says what that is.

    Args:
        remains: What is known of a task.
        known: What prompts ask for now, by fingerprint.
    """
    event = remains.event
    if event is None:
        return None
    digest, attempt = (event.metadata.get(f"seedance/{name}") for name in ("fingerprint", "attempt"))
    if not isinstance(digest, str) or not isinstance(attempt, int):
        return None
    made_for = event.metadata.get("seedance/made_for") or f"{event.prompt_set}/{event.partition}"
    prompt_set, _, partition = str(made_for).partition("/")
    same = known.get(digest, ())
    for asked in same:
        if (asked.prompt_set, asked.partition) == (prompt_set, partition):
            return asked, attempt
    echoed = None if remains.task is None else echoed_request(remains.task)
    request = same[0].request if same else echoed
    if request is None:
        return None
    take = _TAKE.search(partition)
    asked = Asked(
        prompt_set=prompt_set,
        partition=partition,
        fingerprint=digest,
        take=int(take[1]) if take else 1,
        scope="",
        request=request,
        tags={},
    )
    return asked, attempt


def echoed_request(task: Task) -> GenerationRequest | None:
    """Return the request that a task echoes; None where it shows too little or something else."""
    fields = {name: task.input[name] for name in GenerationRequest.model_fields if task.input.get(name)}
    if "audio" in task.input:
        fields["audio"] = task.input["audio"]
    if "duration" in fields:
        fields["duration"] = whole_number(fields["duration"])
    try:
        return GenerationRequest.model_validate(fields | {"task_type": task.task_type}, strict=False)
    except ValidationError:
        return None


def order_columns(
    asked: Asked, remains: TaskRemains, *, attempt: int, account: str, catalog: Catalog, now: datetime
) -> dict[str, Any]:
    """Return the columns of an order whose task was submitted, as far as they are known.

    Args:
        asked: What it asked for.
        remains: What is known of its task.
        attempt: Its number.
        account: The account that its task was found at.
        catalog: Prices, for an estimate.
        now: UTC.
    """
    at = remains.created_at or now
    return (
        vars(asked)
        | {"request": asked.request.model_dump(mode="json")}
        | _prices(asked.request, remains, catalog, at)
        | {
            "retries": 0,
            "attempt": attempt,
            "reference_facts": sent_files(asked.request, remains.task),
            "idempotency_key": RESTORED,
            "run_id": RESTORED,
            "run_tags": {},
            "ordered_at": at,
            "booked_at": at,
        }
        | task_columns_of(remains, account, now)
    )


def task_columns_of(remains: TaskRemains, account: str, now: datetime) -> dict[str, Any]:
    """Return the columns that its task gives an order, whatever it asked for."""
    task = {"task_id": remains.task_id} if remains.task is None else task_columns(remains.task)
    return task | {
        "submitted_at": remains.created_at or now,
        "due_at": now,
        "account": account,
        "error_message": None,
    }


def state_columns(
    columns: dict[str, Any], remains: TaskRemains, *, now: datetime
) -> tuple[State, dict[str, Any]]:
    """Return the state of an order, with its columns, by what the vendor says of its task now."""
    if remains.task is None:
        charged = None if remains.video is None else remains.video.metadata.get("seedance/points_consumed")
        reason = "the vendor does not know its task any more, and its video is not stored"
        ended = {"error_class": FORGOTTEN, "error_message": reason, "ended_at": now, "due_at": None}
        return State.FAILED, columns | ended | {"points_charged": charged}
    order = Order(order_id=0, state=State.SUBMITTED, **columns)
    step = after_poll(order, remains.task, now=now, render_s=None, jitter=0, pacing=Pacing())
    if isinstance(step, Collect):
        return State.SUCCEEDED, columns
    if isinstance(step, End):
        ended = {"error_class": step.error_class, "error_message": step.reason, "due_at": None}
        return step.state, columns | ended | {"ended_at": remains.task.ended_at or now}
    return State.SUBMITTED, columns


def _prices(
    request: GenerationRequest, remains: TaskRemains, catalog: Catalog, at: datetime
) -> dict[str, Any]:
    """Return the estimate of an order: the one that was reported, and the price of its time around it."""
    held = 0 if remains.task is None else remains.task.points_held
    reported = None if remains.event is None else remains.event.metadata.get("seedance/estimated_cost_usd")
    points = usd_to_points(str(reported)) if isinstance(reported, int | float) else None
    try:
        price = catalog.estimate(request, at=at)
    except UnknownPriceError:
        known = points or max(held, remains.points)
        return {
            "estimated_points": known,
            "reserved_points": known,
            "price_table": "unknown",
            "price_formula": "as reported when it was ordered" if points else "as held by the vendor",
        }
    estimated = price.points if points is None else points
    return {
        "estimated_points": estimated,
        "reserved_points": max(price.reserved_points, estimated),
        "price_table": price.table,
        "price_formula": price.formula,
    }


def sent_files(request: GenerationRequest, task: Task | None) -> list[dict[str, Any]] | None:
    """Return what is known of files of the team's own: the links that a task shows in their place."""
    facts = []
    for kind in REFERENCE_KINDS:
        own = getattr(request, f"{kind}_urls")
        echoed = None if task is None else task.input.get(f"{kind}_urls")
        links = echoed if isinstance(echoed, list) and len(echoed) == len(own) else [None] * len(own)
        for position, (reference, link) in enumerate(zip(own, links, strict=True), 1):
            file = FileReference.parse(reference)
            if file is not None:
                sent = {} if link is None else {"sent_url": strip_query(str(link))}
                facts.append({"kind": kind, "position": position, "sha256": file.sha256, **sent})
    return facts or None
