"""Simulated tasks, and the ways in which a vendor's history may show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seedance_dagster.ledger.work.render_times import Kind


@dataclass
class SimulatedTask:
    """A task, in seconds of the virtual clock.

    Attributes:
        lot: A number in [0, 1) that decides how a history treats it.
        due: When its next poll is due.
        seen: When its end was seen.
        taken: A worker polls it.
        hinted: The history showed it as ended.
    """

    number: int
    kind: Kind
    created: float
    ends: float
    lot: float
    due: float = 0.0
    gets: int = 0
    seen: float | None = None
    taken: bool = False
    hinted: bool = False


History = Callable[[SimulatedTask, float], str | None]
"""Returns the status that a history shows of a task at a time; None for a task that it does not list."""


def honest(task: SimulatedTask, now: float) -> str | None:
    """Show every task as it is."""
    return "finished" if task.ends <= now else "running"


def late(seconds: float) -> History:
    """Show everything as it was a while ago."""
    return lambda task, now: honest(task, now - seconds) if task.created <= now - seconds else None


def lying(share: float) -> History:
    """Show a share of the tasks as ended while they run, and as running afterwards."""
    return lambda task, now: honest(task, now) if task.lot >= share else _opposite(honest(task, now))


def filtering(share: float) -> History:
    """Leave a share of the tasks out."""
    return lambda task, now: honest(task, now) if task.lot >= share else None


def stopping(since: float) -> History:
    """Be honest up to a time; afterwards, show everything as it was then."""
    return lambda task, now: honest(task, min(now, since))


def _opposite(status: str | None) -> str:
    return "running" if status == "finished" else "finished"
