"""Delays of the product that are not in its policy, shortened in a worker's process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from seedance_dagster.api import client
from seedance_dagster.defs.steps import advancers, tick
from seedance_dagster.engine import lifecycle
from seedance_dagster.engine.reconcile import history
from seedance_dagster.engine.stages import collect, submit
from seedance_dagster.ledger import base, engines, reports

_MAX_PAUSE = timedelta(seconds=0.3)
_SHORT: dict[Any, dict[str, Any]] = {
    client: {"ATTEMPTS": 2},
    advancers: {"_LEASE_S": 2.0},
    reports: {"_REPORT_GRACE": timedelta(seconds=1)},
    tick: {"_STARTING_S": 1.0, "_POLL_BOX_S": 5.0},
}
_BUSY_S = {"storm": 1.5, "calm": 20.0}
_DOWNLOAD_S = {"storm": (3.0, 1.0), "calm": (20.0, 10.0)}


def turn_clock(path: Path, ahead_s: float) -> None:
    """Set the wall clock of all workers of a round; they read this file whenever they need the time."""
    new = path.with_suffix(".new")
    new.write_text(str(ahead_s))
    new.replace(path)


def _clock_of(path: Path) -> type[datetime]:
    class Turned(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            try:
                ahead_s = float(path.read_text())
            except FileNotFoundError:  # it is right so far
                ahead_s = 0.0
            return datetime.now(tz) + timedelta(seconds=ahead_s)

    return Turned


def quicken(*, page_size: int, phase: str, clock: Path) -> None:
    """Shorten every delay; raise if its name is gone, since rounds would then prove less than they claim.

    Args:
        page_size: Rows of the history on one page.
        phase: "storm", or "calm" with more time for a slow machine.
        clock: The file of `turn_clock`.
    """
    for module, values in _SHORT.items():
        for name, value in values.items():
            _replace(module, name, value)
    total_s, idle_s = _DOWNLOAD_S[phase]
    limits = functools.partial(
        collect.DownloadLimits, max_bytes=4_000_000, total_timeout_s=total_s, idle_timeout_s=idle_s
    )
    _replace(collect, "DownloadLimits", limits)
    _replace(engines, "BUSY_TIMEOUT_MS", int(1000 * _BUSY_S[phase]))
    _replace(history, "_PAGE_SIZE", page_size)
    _replace(base, "datetime", _clock_of(clock))
    _replace(submit, "after_refused_post", _soon(submit.after_refused_post))
    _replace(client.stamina, "retry_context", functools.partial(_impatient, client.stamina.retry_context))


def _replace(module: Any, name: str, value: Any) -> None:
    getattr(module, name)
    setattr(module, name, value)


def _soon(decide: Callable[..., Any]) -> Callable[..., Any]:
    def decided(error: Exception, *, now: datetime, **options: Any) -> Any:
        step = decide(error, now=now, **options)
        if isinstance(step, lifecycle.QueueAgain):
            latest = now + _MAX_PAUSE
            pause_until = step.pause_until and min(step.pause_until, latest)
            return replace(step, due_at=min(step.due_at, latest), pause_until=pause_until)
        return step

    return decided


def _impatient(retry_context: Callable[..., Any], *, wait_initial: float = 0.1, **options: Any) -> Any:
    return retry_context(**options | {"wait_initial": min(wait_initial, 0.1), "wait_max": 0.3})
