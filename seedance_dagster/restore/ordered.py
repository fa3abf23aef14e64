"""Orders whose task is known and whose video is not stored: their requests and their rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.values import whole_number
from seedance_dagster.api.wire import REFERENCE_KINDS, GenerationRequest, Task
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
"""The run of orders whose own run is no longer known."""

FORGOTTEN = "forgotten"
"""The error class of a restored order whose task the vendor no longer knows."""


@dataclass(frozen=True, kw_only=True)
class PromptTake:
    """A take of a prompt: its partition and its request."""

    prompt_set: str
    partition: str
    fingerprint: str
    take: int
    scope: str
    request: GenerationRequest
    tags: dict[str, str]
    rights: dict[str, dict[str, str]] | None = None


def takes_of(sets: Sequence[PromptSet]) -> Iterator[PromptTake]:
    """Yield the takes of prompt sets; for one without a watermark, also the take with it."""
    for prompt_set in sets:
        for key, partition in prompt_set.all_partitions.items():
            prompt = PromptTake(
                prompt_set=prompt_set.name,
                partition=key,
                fingerprint=partition.fingerprint,
                take=partition.take,
                scope=partition.scope,
                request=partition.request,
                tags=dict(partition.tags),
                rights={name: dict(terms) for name, terms in partition.rights.items()} or None,
            )
            yield prompt
            if partition.request.remove_watermark:
                rendered = partition.request.with_watermark
                yield replace(prompt, request=rendered, fingerprint=fingerprint(rendered))


def take_in_event(
    remains: TaskRemains, by_fingerprint: Mapping[str, Sequence[PromptTake]]
) -> tuple[PromptTake, int] | None:
    """Return the take that the order of an event asked for, and its attempt; None where it is unknown.

    Args:
        remains: The remains of a task.
        by_fingerprint: The current takes of prompts.
    """
    event = remains.event
    if event is None:
        return None
    digest, attempt = (event.metadata.get(f"seedance/{name}") for name in ("fingerprint", "attempt"))
    if not isinstance(digest, str) or not isinstance(attempt, int):
        return None
    made_for = event.metadata.get("seedance/made_for") or f"{event.prompt_set}/{event.partition}"
    prompt_set, _, partition = str(made_for).partition("/")
    alike = by_fingerprint.get(digest, ())
    for prompt in alike:
        if (prompt.prompt_set, prompt.partition) == (prompt_set, partition):
            return prompt, attempt
    echoed = None if remains.task is None else echoed_request(remains.task)
    request = alike[0].request if alike else echoed
    if request is None:
        return None
    take = _TAKE.search(partition)
    prompt = PromptTake(
        prompt_set=prompt_set,
        partition=partition,
        fingerprint=digest,
        take=int(take[1]) if take else 1,
        scope="",
        request=request,
        tags={},
    )
    return prompt, attempt


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
    prompt: PromptTake, remains: TaskRemains, *, attempt: int, account: str, catalog: Catalog, now: datetime
) -> dict[str, Any]:
    """Return the columns of an order whose task was submitted, as far as they are known.

    Args:
        prompt: Its request and partition.
        remains: The remains of its task.
        attempt: The number of the attempt.
        account: The account that its task was found in.
        catalog: Prices, for an estimate.
        now: UTC.
    """
    at = remains.created_at or now
    return (
        vars(prompt)
        | {"request": prompt.request.model_dump(mode="json")}
        | _prices(prompt.request, remains, catalog, at)
        | {
            "retries": 0,
            "attempt": attempt,
            "reference_facts": sent_files(prompt.request, remains.task),
            "idempotency_key": RESTORED,
            "run_id": RESTORED,
            "run_tags": {},
            "ordered_at": at,
            "booked_at": at,
        }
        | task_columns_of(remains, account, now)
    )


def task_columns_of(remains: TaskRemains, account: str, now: datetime) -> dict[str, Any]:
    """Return the columns of an order that follow from its task alone."""
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
    """Return the state and columns of an order, by the current state of its task at the vendor."""
    if remains.task is None:
        charged = None if remains.video is None else remains.video.metadata.get("seedance/points_consumed")
        reason = "the vendor no longer knows its task, and its video is not stored"
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
    """Return the estimate of an order: the reported one if there is one, else the price at its time."""
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
    """Return the facts about the team's own files: the links that a task shows in their place."""
    facts = []
    for kind in REFERENCE_KINDS:
        urls = getattr(request, f"{kind}_urls")
        echoed = None if task is None else task.input.get(f"{kind}_urls")
        links = echoed if isinstance(echoed, list) and len(echoed) == len(urls) else [None] * len(urls)
        for position, (reference, link) in enumerate(zip(urls, links, strict=True), 1):
            file = FileReference.parse(reference)
            if file is not None:
                sent = {} if link is None else {"sent_url": strip_query(str(link))}
                facts.append({"kind": kind, "position": position, "sha256": file.sha256, **sent})
    return facts or None
