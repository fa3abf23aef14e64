"""The product's delays, made short in a worker's process, so that a round takes seconds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from seedance_dagster.api import client
from seedance_dagster.defs.steps import advance, tick
from seedance_dagster.engine import lifecycle
from seedance_dagster.engine.reconcile import history, reconcile
from seedance_dagster.engine.runtime import pipeline, run_decision
from seedance_dagster.engine.stages import collect, poll, stage, submit
from seedance_dagster.ledger import database, reports

_MAX_PAUSE = timedelta(seconds=0.3)
_SHORT: dict[Any, dict[str, Any]] = {
    client: {"_GET_ATTEMPTS": 2},
    run_decision: {"_PATIENCE": timedelta(seconds=0.3)},
    pipeline: {"_UPKEEP_S": 0.3, "_CHECK_S": 0.05},
    advance: {"_LEASE_S": 2.0},
    lifecycle: {
        "_MIN_POLL_S": 0.1,
        "_MAX_POLL_S": 0.5,
        "_RETRY_DELAY": timedelta(seconds=0.2),
        "_MAX_TRANSFER_DELAY_S": 0.3,
    },
    stage: {"_LOOK_AGAIN_S": 0.2},
    poll: {"_TROUBLE_DELAY": timedelta(seconds=0.2)},
    reports: {"_REPORT_GRACE": timedelta(seconds=1)},
    reconcile: {"_LOOK_AGAIN": timedelta(seconds=0.3)},
    tick: {"_STARTING_S": 1.0, "_POLL_BOX_S": 5.0},
    submit: {"_ANSWER_GRACE_S": 1.5},
}
_BUSY_S = {"storm": 1.5, "calm": 20.0}
_DOWNLOAD_S = {"storm": (3.0, 1.0), "calm": (20.0, 10.0)}


def quicken(*, history_lag_s: float, page_size: int, phase: str) -> None:
    """Shorten every delay; a name that is gone raises, since then a round would prove less than it says.

    Args:
        history_lag_s: How late this round's history lists a task.
        page_size: How many rows of the history are asked for at once.
        phase: "storm", or "calm" where a slow machine gets the time it needs.
    """
    for module, values in _SHORT.items():
        for name, value in values.items():
            _replace(module, name, value)
    total_s, idle_s = _DOWNLOAD_S[phase]
    limits = functools.partial(
        collect.DownloadLimits, max_bytes=4_000_000, total_timeout_s=total_s, idle_timeout_s=idle_s
    )
    _replace(collect, "DownloadLimits", limits)
    _replace(database, "_BUSY_TIMEOUT_MS", int(1000 * _BUSY_S[phase]))
    _replace(history, "_PAGE_SIZE", page_size)
    _replace(reconcile, "_LAG", timedelta(seconds=history_lag_s + 0.3))
    _replace(submit, "after_refused_post", _soon(submit.after_refused_post))
    _replace(client.stamina, "retry_context", functools.partial(_impatient, client.stamina.retry_context))


def _replace(module: Any, name: str, value: Any) -> None:
    getattr(module, name)
    setattr(module, name, value)


def _soon(decide: Callable[..., Any]) -> Callable[..., Any]:
    def decided(error: Exception, *, now: datetime) -> Any:
        step = decide(error, now=now)
        if isinstance(step, lifecycle.QueueAgain):
            return replace(step, due_at=min(step.due_at, now + _MAX_PAUSE))
        return step

    return decided


def _impatient(retry_context: Callable[..., Any], *, wait_initial: float = 0.1, **options: Any) -> Any:
    return retry_context(**options | {"wait_initial": min(wait_initial, 0.1), "wait_max": 0.3})
