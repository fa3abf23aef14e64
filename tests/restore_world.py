"""Restorations without servers: what is left of orders in a vendor, a store and a Dagster in memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from audit_world import World
from factories import NOW, POINTS, Clock, make_request
from made_once import prepare_ledger

from seedance_dagster.api.wire import GenerationRequest, HistoryRow, Task, TaskStatus
from seedance_dagster.audit.audit import no_progress
from seedance_dagster.audit.snapshots import RecordedEvent
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder, Order
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.restore.apply import apply_plan
from seedance_dagster.restore.plan import Plan
from seedance_dagster.restore.restore import find_place, plan_restoration, take_place

AN_HOUR_AGO = NOW - timedelta(hours=1)


def prompt(number: int, **fields: Any) -> Prompt:
    """Return the prompt that the numbered order of a world asks for."""
    return Prompt(id=f"p{number}", request=make_request(f"cat {number}"), **fields)


def add_task(
    world: World,
    number: int,
    status: TaskStatus = TaskStatus.PROCESSING,
    *,
    task_id: str | None = None,
    event: bool = True,
    attempt: int = 1,
    request: GenerationRequest | None = None,
    **fields: Any,
) -> str:
    """Make a task of the numbered prompt at the vendor, and report it to Dagster; return its id."""
    task_id = task_id or f"task-{number}"
    asked = request or make_request(f"cat {number}")
    task = Task(
        **{
            "task_id": task_id,
            "task_type": asked.task_type,
            "status": status,
            "raw_status": status.value,
            "input": asked.to_wire()["input"],
            "video_url": "https://v.example.com/a" if status is TaskStatus.COMPLETED else None,
            "points_held": 0 if status is TaskStatus.FAILED else POINTS,
            "points_charged": POINTS if status is TaskStatus.COMPLETED else 0,
            "created_at": AN_HOUR_AGO,
            "started_at": None,
            "ended_at": None if status is TaskStatus.PROCESSING else NOW,
            "logs": (),
            "error_code": 0,
            "error_message": "",
        }
        | fields
    )
    world.vendor.tasks[task_id] = task
    world.vendor.rows[task_id] = HistoryRow(
        task_id=task_id,
        task_type=task.task_type,
        status=task.raw_status,
        points=task.points_charged,
        created_at=task.created_at,
    )
    if event:
        world.dagster.task_events.append(submission(number, task_id, attempt))
    return task_id


def submission(number: int, task_id: str, attempt: int = 1, **metadata: Any) -> RecordedEvent:
    """Return the event of the submission of a numbered prompt's order."""
    digest = fingerprint(make_request(f"cat {number}"))
    known = {
        "seedance/task_id": task_id,
        "seedance/points_held": POINTS,
        "seedance/estimated_cost_usd": 0.5,
        "seedance/fingerprint": digest,
        "seedance/attempt": attempt,
    }
    return RecordedEvent(
        prompt_set="spots",
        partition=f"p{number}",
        at=AN_HOUR_AGO,
        metadata=known | metadata,
        data_version=f"{digest}-a{attempt}",
    )


def forget(world: World, task_id: str) -> None:
    """Make the vendor forget a task."""
    world.vendor.tasks.pop(task_id, None)
    world.vendor.rows.pop(task_id, None)


def lose(world: World, folder: Path, clock: Clock) -> None:
    """Replace a world's ledger with a new one."""
    world.services.claim_prefix()
    world.ledger.close()
    prepare_ledger(f"sqlite:///{folder}/new.db")
    world.ledger = Ledger.open(f"sqlite:///{folder}/new.db", clock=clock)


def plan(world: World, *prompts: Prompt) -> Plan:
    """Return the plan of a restoration."""
    sets = [PromptSet("spots", prompts)]
    place = find_place(world.services)
    return asyncio.run(plan_restoration(world.services, world.dagster, sets, place, progress=no_progress))


def restore(world: World, *prompts: Prompt) -> Plan:
    """Restore what can be restored; every planned order must be written."""
    place = find_place(world.services)
    planned = plan(world, *prompts)
    take_place(world.services, place)
    written = list(apply_plan(planned, world.ledger, actor="restore 1"))
    assert [reason for _, reason in written if reason is not None] == []
    world.ledger.restoration.add_verdicts(planned.verdicts)
    return planned


def answer(world: World, asked: Prompt, key: str = "p") -> Outcome | None:
    """Return the outcome of ordering a prompt again; None if a new order would be paid for."""
    partition = next(iter(PromptSet("spots", (asked,)).partitions.values()))
    new = NewOrder(
        prompt_set="spots",
        partition=partition.key,
        fingerprint=partition.fingerprint,
        request=partition.request.model_dump(mode="json"),
        estimated_points=POINTS,
        reserved_points=POINTS,
        price_table="t",
        price_formula="f",
    )
    [existing] = world.ledger.orders.existing_orders([new], OrderRequest(idempotency_key=key, run_id="r"))
    return None if existing is None else existing[1]


def only_order(world: World) -> Order:
    """Return the one order of a ledger."""
    [order] = world.ledger.queries.find()
    return order
