"""The sensor: keeps partitions in step, looks at due tasks, and asks for a run when one is worth it."""

import asyncio
import time

import dagster as dg

from seedance_dagster.api.errors import AuthenticationError, SeedanceError
from seedance_dagster.defs.jobs import ADVANCE_JOB, ADVANCE_LEASE
from seedance_dagster.defs.partitions import sync_all
from seedance_dagster.defs.resources import (
    LedgerResource,
    SeedanceResource,
    VideoStoreResource,
    open_services,
)
from seedance_dagster.defs.sources import PromptSource
from seedance_dagster.generation.account import PLAN_LIMIT
from seedance_dagster.generation.demand import demand
from seedance_dagster.generation.engine import poll_due
from seedance_dagster.generation.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.reading import Actionable
from seedance_dagster.prompts.problems import format_problems

_INTERVAL_S = 10
_POLL_BOX_S = 20.0  # a tick must end well within Dagster's 60 s
_STARTING_S = 60.0  # a run requested this recently may not hold its lease yet
_EDITS_A_TICK = 300  # each is an event of about 10 ms


def build_sensor(source: PromptSource, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The one sensor of a code location."""

    @dg.sensor(
        name="seedance_sensor",
        job_name=ADVANCE_JOB,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=status,
        description="Keeps partitions in step with the prompt sets, polls tasks, starts runs that collect.",
    )
    def seedance_sensor(
        context: dg.SensorEvaluationContext,
        seedance: SeedanceResource,
        video_store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            with open_services(context.instance, seedance, video_store, ledger) as services:
                return _tick(context, source, services)
        except LedgerError as error:
            return dg.SkipReason(str(error))

    return seedance_sensor


def _tick(
    context: dg.SensorEvaluationContext, source: PromptSource, services: Services
) -> dg.SensorResult | dg.SkipReason:
    said: list[str] = []
    loaded = source.load()
    if loaded.errors:
        said.append("prompt files with errors were left out:\n" + format_problems(loaded.errors))
    sync_all(context.instance, services.ledger, loaded.sets, services.prices, limit=_EDITS_A_TICK)
    said += _poll(services)
    work = services.ledger.actionable()
    paused = services.ledger.paused()
    wanted = demand(work, limit=_limit(services), may_submit=not paused, now=services.clock())
    if wanted.worth_a_run:
        if services.ledger.holder(ADVANCE_LEASE) is not None or _just_started(context):
            said.append("a run advances the generations already")
        else:
            request = dg.RunRequest(
                tags={"seedance/submit": str(wanted.submit), "seedance/collect": str(wanted.collect)}
            )
            return dg.SensorResult(run_requests=[request])
    said += _waiting_for(work, paused)
    return dg.SkipReason("; ".join(said))


def _poll(services: Services) -> list[str]:
    owner = f"sensor {time.time_ns()}"
    try:
        report = asyncio.run(poll_due(services, owner=owner, time_box_s=_POLL_BOX_S))
    except AuthenticationError as error:
        return [str(error)]
    except SeedanceError as error:
        return [f"the vendor cannot be asked: {error}"]
    return list(report.troubles[:5])


def _limit(services: Services) -> int | None:
    limits = (services.policy.max_in_flight, services.ledger.learned(PLAN_LIMIT))
    return min((limit for limit in limits if limit is not None), default=None)


def _just_started(context: dg.SensorEvaluationContext) -> bool:
    """Whether a run was asked for a moment ago; a killed one, started forever to Dagster, is no obstacle."""
    records = context.instance.get_run_records(
        dg.RunsFilter(
            job_name=ADVANCE_JOB,
            statuses=[
                dg.DagsterRunStatus.QUEUED,
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.STARTING,
                dg.DagsterRunStatus.STARTED,
            ],
        ),
        limit=1,
    )
    return any(time.time() - record.create_timestamp.timestamp() < _STARTING_S for record in records)


def _waiting_for(work: Actionable, paused: list[str]) -> list[str]:
    said = [f"submitting pauses: {message}" for message in paused]
    if work.to_submit:
        said.append(f"{work.to_submit} orders are queued")
    if work.at_vendor:
        said.append(f"{work.at_vendor} tasks are at the vendor")
    if work.uncertain:
        said.append(f"{work.uncertain} of them are uncertain: their POST had no clear answer")
    if work.to_collect:
        said.append(f"{work.to_collect} videos wait to be collected")
    if work.next_due_at is not None and work.at_vendor:
        said.append(f"next look at {work.next_due_at:%H:%M:%S} UTC")
    return said or ["nothing is ordered"]
