"""The emulator's own books: tasks and money, to compare with the records of a client."""

from __future__ import annotations

from collections import Counter
from typing import Any

from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.record import TaskRecord
from seedance_dagster.emulator.task_types import PRICE_TABLE


def summary(emulator: Emulator) -> dict[str, Any]:
    """Return the totals; money is in points."""
    vendor, traffic = emulator.vendor, emulator.traffic
    now = vendor.now()
    tasks = vendor.tasks.values()
    held = sum(task.held for task in tasks)
    charged = sum(task.charged for task in tasks)
    penalties = sum(task.penalty for task in tasks)
    account = vendor.account
    return {
        "price_table": PRICE_TABLE,
        "tasks": len(tasks),
        "states": Counter(task.phase(now).value for task in tasks),
        "outcomes": Counter(task.outcome.value for task in tasks if task.settled),
        "active": vendor.active(),
        "points_held": held,
        "points_charged": charged,
        "points_penalty": penalties,
        "points_left": account.points,
        "points_granted": account.granted,
        "balanced": account.granted == account.points + held + charged + penalties,
        "violations": account.violations,
        "prompts": len(vendor.tasks_by_prompt),
        "most_tasks_of_one_prompt": max(vendor.tasks_by_prompt.values(), default=0),
        "posts": vendor.posts.total(),
        "downloads": sum(task.downloads for task in tasks),
        "videos_downloaded": sum(task.downloads > 0 for task in tasks),
        "key_leaks": len(traffic.leaks),
        "calls": traffic.calls,
        "refusals": traffic.refusals,
        "faults_fired": {name: count for name, count in emulator.faults.fired.items() if count},
        "fault_rates": emulator.faults.rates,
        "peak_calls_per_second": traffic.peak_calls_per_second,
        "renders": emulator.clips.renders,
    }


def books(emulator: Emulator) -> dict[str, Any]:
    """Return every task, every prompt with its POSTs and tasks, the leaks, and the summary."""
    vendor = emulator.vendor
    totals = summary(emulator)
    now = vendor.now()
    return {
        "summary": totals,
        "tasks": [_entry(task, task.phase(now).value) for task in vendor.tasks.values()],
        "prompts": {
            prompt: {"posts": vendor.posts[prompt], "tasks": vendor.tasks_by_prompt[prompt]}
            for prompt in {**vendor.posts, **vendor.tasks_by_prompt}
        },
        "wallet": vendor.account.model_dump(),
        "key_leaks": emulator.traffic.leaks,
    }


def _entry(task: TaskRecord, state: str) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "source": task.source,
        "request": {name: value for name, value in task.request.items() if name != "config"},
        "rendered": {"duration": task.duration, "aspect_ratio": task.aspect_ratio},
        "state": state,
        "outcome": task.outcome.value,
        "created_at": task.created_at.isoformat(),
        "ended_at": task.ends_at.isoformat() if task.settled else None,
        "points_price": task.price,
        "points_held": task.held,
        "points_charged": task.charged,
        "points_penalty": task.penalty,
        "quirks": sorted(task.quirks),
        "gets": task.gets,
        "downloads": task.downloads,
        "links": len(task.links),
        "webhook_statuses": task.webhook_statuses,
    }
