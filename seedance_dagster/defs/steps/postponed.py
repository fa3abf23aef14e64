"""The run that orders what a budget postponed, once there is room again."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from seedance_dagster.defs.configs import PendingConfig, limit_points
from seedance_dagster.defs.naming import ORDER_OP, PENDING_JOB, Names
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.engine.ordering.unattended import has_room
from seedance_dagster.engine.services import Services
from seedance_dagster.money import Window, window_start


def with_postponed(
    answer: dg.SensorResult | dg.SkipReason,
    names: Names,
    services: Services,
    source: PromptSource,
    pending_usd_per_run: float | None,
) -> dg.SensorResult | dg.SkipReason:
    """Add to a tick's answer the run that orders what was postponed before today (UTC), if there is room.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    request = _postponed_run(names, services, source, pending_usd_per_run)
    return with_runs(answer, [] if request is None else [request])


def with_runs(
    answer: dg.SensorResult | dg.SkipReason, requests: Iterable[dg.RunRequest]
) -> dg.SensorResult | dg.SkipReason:
    """Add runs to a tick's answer."""
    further = list(requests)
    if not further:
        return answer
    others = (answer.run_requests or ()) if isinstance(answer, dg.SensorResult) else ()
    return dg.SensorResult(run_requests=[*others, *further])


def _postponed_run(
    names: Names, services: Services, source: PromptSource, pending_usd_per_run: float | None
) -> dg.RunRequest | None:
    now = services.clock()
    postponed = services.ledger.partitions.sets_with_postponed(before=window_start(Window.DAY, now) or now)
    if not postponed or services.throttle().problems:
        return None
    limit = limit_points(pending_usd_per_run, "pending_usd_per_run")
    ready = [
        prompt_set.name
        for prompt_set in source.load(services.store).sets
        if prompt_set.name in postponed and has_room(services, prompt_set, limit)
    ]
    if not ready:
        return None
    config = PendingConfig(max_cost_usd=pending_usd_per_run, prompt_sets=ready, postponed_only=True)
    return dg.RunRequest(
        run_key=f"postponed {now:%Y-%m-%d %H}",  # what it could not order waits for tomorrow
        job_name=names(PENDING_JOB),
        run_config=dg.RunConfig(ops={names(ORDER_OP): config}),
    )
