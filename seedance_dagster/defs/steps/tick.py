"""A tick of the sensor."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.defs.naming import ADVANCE_JOB
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.advance import ADVANCE_LEASE
from seedance_dagster.defs.steps.partitions import sync_all
from seedance_dagster.engine.runtime.pipeline import poll_due
from seedance_dagster.engine.runtime.run_decision import decide_run
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.engine.worker import worker_name
from seedance_dagster.ledger.workload import Actionable
from seedance_dagster.prompts.problems import Problem, format_problems

_POLL_BOX_S = 20.0  # nothing new is looked at after it
_POLL_END_S = 35.0  # what hangs is given up: a tick must end well within Dagster's 60 s
_STARTING_S = 60.0  # a run requested this recently may not hold its lease yet
_CHANGES_A_TICK = 300  # each is a write of Dagster's of about 10 ms
_LEDGER_TAG = "seedance/ledger"
_PROBLEMS_SAID = 10  # each tick's reason is kept by Dagster


def tick(
    context: dg.SensorEvaluationContext, source: PromptSource, services: Services
) -> dg.SensorResult | dg.SkipReason:
    """Look once at everything; raises what a person can mend."""
    said: list[str] = []
    loaded = source.load()
    if loaded.errors:
        said.append(_left_out(loaded.errors))
        context.log.warning(said[-1])
    sync_all(context.instance, services.ledger, loaded.sets, services.prices, limit=_CHANGES_A_TICK)
    can_work = True
    try:
        said += asyncio.run(_poll(services))
    except SeedanceError as error:  # no usable key or address
        said.append(str(error))
        can_work = False
    work = services.ledger.workload.actionable()
    throttle = services.throttle()
    wanted = decide_run(work, throttle=throttle, pacing=services.policy.pacing, now=services.clock())
    if wanted.worth_a_run and can_work:
        # One at a time for a ledger; another code location may have one of its own.
        tags = {_LEDGER_TAG: hashlib.sha256(services.ledger.label.encode()).hexdigest()[:12]}
        if services.ledger.leases.owner_of(ADVANCE_LEASE) is not None or _on_its_way(context, tags):
            said.append("a run advances the generations already")
        else:
            tags |= {"seedance/submit": str(wanted.submit), "seedance/collect": str(wanted.collect)}
            return dg.SensorResult(run_requests=[dg.RunRequest(tags=tags)])
    said += _waiting_for(work, throttle)
    return dg.SkipReason("; ".join(said))


async def _poll(services: Services) -> list[str]:
    """Look at what is due; what went wrong, in words. Raises `SeedanceError` where nobody can be asked."""
    owner = worker_name("sensor")
    try:
        async with asyncio.timeout(_POLL_END_S):
            report = await poll_due(services, owner=owner, time_box_s=_POLL_BOX_S)
    except TimeoutError:
        return [f"the vendor did not answer within {_POLL_END_S:.0f} s; the next tick asks again"]
    return list(report.troubles[:5])


def _on_its_way(context: dg.SensorEvaluationContext, tags: Mapping[str, str]) -> bool:
    """Whether a run with these tags was asked for that does not hold its lease yet.

    A queued run will start; one that was killed, started forever to Dagster, is no obstacle for long.
    """
    starting = [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    lately = datetime.now(UTC) - timedelta(seconds=_STARTING_S)
    filters = (
        dg.RunsFilter(job_name=ADVANCE_JOB, tags=tags, statuses=[dg.DagsterRunStatus.QUEUED]),
        dg.RunsFilter(job_name=ADVANCE_JOB, tags=tags, statuses=starting, created_after=lately),
    )
    return any(context.instance.get_run_records(each, limit=1) for each in filters)


def _left_out(errors: Sequence[Problem]) -> str:
    text = "prompt files with errors were left out:\n" + format_problems(errors[:_PROBLEMS_SAID])
    more = len(errors) - _PROBLEMS_SAID
    return f"{text}\n... and {more} more, see `seedance-dagster plan`" if more > 0 else text


def _waiting_for(work: Actionable, throttle: Throttle) -> list[str]:
    said = list(throttle.reasons)
    for count, one, many in (
        (work.to_submit, "order is queued", "orders are queued"),
        (work.in_flight, "task is at the vendor", "tasks are at the vendor"),
        (
            work.uncertain,
            "of them is uncertain: its POST had no clear answer",
            "of them are uncertain: their POSTs had no clear answer",
        ),
        (work.to_collect, "video waits to be collected", "videos wait to be collected"),
    ):
        if count:
            said.append(f"{count} {one if count == 1 else many}")
    if work.next_due_at is not None and work.in_flight:
        said.append(f"next look at {work.next_due_at:%H:%M:%S} UTC")
    return said or ["nothing is ordered"]
