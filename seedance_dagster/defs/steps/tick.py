"""One tick of the sensor `seedance_sensor`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.counting import counted, part_of
from seedance_dagster.defs.naming import ADVANCE_JOB, Names
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.admission import admit_tick
from seedance_dagster.defs.steps.advancers import advancer_leases, run_owner
from seedance_dagster.defs.steps.binding import try_to_remember
from seedance_dagster.defs.steps.failures import ATTENTION
from seedance_dagster.defs.steps.known_sets import gone_sets, new_sets
from seedance_dagster.defs.steps.partitions import sync_all
from seedance_dagster.defs.steps.postponed import with_runs
from seedance_dagster.defs.steps.prompt_files import observe_changed_files
from seedance_dagster.defs.steps.scores import score_requests
from seedance_dagster.defs.steps.verdicts import report_verdicts
from seedance_dagster.engine.ordering.current import known_set
from seedance_dagster.engine.runtime.pipeline import PollResult, poll_due
from seedance_dagster.engine.runtime.run_decision import decide_run
from seedance_dagster.engine.runtime.sensor_ticks import remember_tick
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.engine.worker import worker_name
from seedance_dagster.ledger.work.workload import Actionable
from seedance_dagster.prompts.problems import Problem, format_problems

_POLL_BOX_S = 20.0  # no poll starts after it
_POLL_END_S = 35.0  # what hangs is abandoned: a tick must end well within Dagster's 60 s
_STARTING_S = 60.0  # a run requested this recently may not hold its lease yet
_CHANGES_PER_TICK = 300  # each is a write by Dagster of about 10 ms
_LEDGER_TAG = "seedance/ledger"
_PRIORITY = {"dagster/priority": "10"}  # above that of runs that wait for what these runs do
_MAX_TROUBLES = 5
_MAX_PROBLEMS = 10  # Dagster stores each tick's reason


def tick(
    context: dg.SensorEvaluationContext,
    names: Names,
    source: PromptSource,
    services: Services,
    declared: Collection[str],
) -> dg.SensorResult | dg.SkipReason:
    """Sync partitions, poll tasks, and request a run when there is work; raises `USER_ERRORS`."""
    loaded = source.load(services.store)
    refused = admit_tick(context, services.ledger, source)
    observe_changed_files(context, names, source, loaded, declared)
    gone = gone_sets(context.instance, services.ledger, source, loaded, declared)
    trouble = [*refused.values(), *_left_out(loaded.errors), *new_sets(loaded, declared), *map(str, gone)]
    for sentence in trouble:
        context.log.warning(sentence)
    remember_tick(services.ledger)
    own_sets = (prompt_set for prompt_set in loaded.sets if prompt_set.name not in refused)
    sets = [known_set(services.ledger, prompt_set) for prompt_set in own_sets]
    synced = sync_all(
        context.instance,
        services.ledger,
        sets,
        loaded.catalog,
        now=services.clock(),
        limit=_CHANGES_PER_TICK,
    )
    report_verdicts(context.instance, services.ledger, services.store.uri)
    scoring = list(score_requests(names, services, source, sets))
    can_work, polls = True, PollResult()
    try:
        polls = asyncio.run(_poll(services))
        trouble += polls.troubles[:_MAX_TROUBLES]
    except SeedanceError as error:  # the key or the address cannot be used
        trouble.append(str(error))
        can_work = False
    done = [f"{polls.polled} polled, {polls.ended} finished"] if polls.polled else []
    notes = [*done, *synced.unknown_sentences, *synced.kept_sentences]
    try_to_remember(context.instance, services.ledger, context.log)
    work = services.ledger.workload.actionable()
    throttle = services.throttle()
    decision = decide_run(work, throttle=throttle, pacing=services.policy.pacing, now=services.clock())
    if decision.runs and can_work:
        # The limit holds for each ledger; another code location may have another ledger.
        tags = {_LEDGER_TAG: hashlib.sha256(services.ledger.label.encode()).hexdigest()[:12]}
        most = services.policy.max_advancers
        owners = services.ledger.leases.owners_of(advancer_leases(most))
        working = len(owners) + _count_starting(context, names(ADVANCE_JOB), tags, owners, most)
        if (missing := min(decision.runs, most) - working) > 0:
            _ = services.store.client  # raises for settings that boto3 cannot use: a run could do nothing
            tags |= {"seedance/submit": str(decision.submit), "seedance/collect": str(decision.collect)}
            tags |= _PRIORITY
            why = f"{decision.submit} to submit, {decision.collect} to store, {decision.report} to report"
            context.log.info(
                "; ".join([*done, f"requested {counted(missing, 'run')} of {names(ADVANCE_JOB)}: {why}"])
            )
            advancing = [dg.RunRequest(job_name=names(ADVANCE_JOB), tags=tags)] * missing
            return dg.SensorResult(run_requests=[*advancing, *scoring])
        job = names(ADVANCE_JOB)
        notes.append(part_of(working, most, "run", f"of {job} is working", f"of {job} are working"))
    notes += _describe(work, throttle)
    reason = "; ".join([*([ATTENTION + trouble[0], *trouble[1:]] if trouble else ()), *notes])
    return with_runs(dg.SkipReason(reason), scoring)


async def _poll(services: Services) -> PollResult:
    """Poll the tasks that are due; raises `SeedanceError` without a usable key."""
    owner = worker_name("sensor")
    try:
        async with asyncio.timeout(_POLL_END_S):
            return await poll_due(services, owner=owner, time_box_s=_POLL_BOX_S)
    except TimeoutError:
        trouble = f"the vendor did not answer within {_POLL_END_S:.0f} s; the next tick tries again"
        return PollResult(troubles=(trouble,))


def _count_starting(
    context: dg.SensorEvaluationContext,
    job_name: str,
    tags: Mapping[str, str],
    owners: Collection[str],
    most: int,
) -> int:
    """Return how many requested runs with these tags do not hold their leases yet.

    A queued run will start. One that was killed stays "started" in Dagster, so only a recent one counts.
    """
    starting = [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    recently = datetime.now(UTC) - timedelta(seconds=_STARTING_S)
    filters = (
        dg.RunsFilter(job_name=job_name, tags=tags, statuses=[dg.DagsterRunStatus.QUEUED]),
        dg.RunsFilter(job_name=job_name, tags=tags, statuses=starting, created_after=recently),
    )
    records = [
        record for runs in filters for record in context.instance.get_run_records(runs, limit=2 * most)
    ]
    return sum(run_owner(record.dagster_run.run_id) not in owners for record in records)


def _left_out(errors: Sequence[Problem]) -> Iterator[str]:
    if not errors:
        return
    text = "errors in prompt files:\n" + format_problems(errors[:_MAX_PROBLEMS])
    more = len(errors) - _MAX_PROBLEMS
    yield f"{text}\n... and {more} more, see `seedance-dagster plan`" if more > 0 else text


def _describe(work: Actionable, throttle: Throttle) -> list[str]:
    reasons = list(throttle.reasons)
    for count, one, many in (
        (work.queued, "order is queued", "orders are queued"),
        (work.in_flight, "task is at the vendor", "tasks are at the vendor"),
        (
            work.uncertain,
            "of them is uncertain: the reply to its POST was lost",
            "of them are uncertain: the replies to their POSTs were lost",
        ),
        (work.finished, "finished video is not stored yet", "finished videos are not stored yet"),
    ):
        if count:
            reasons.append(counted(count, one, many))
    if work.next_due_at is not None:
        step = "poll" if work.in_flight else "attempt"
        reasons.append(f"next {step} at {work.next_due_at:%H:%M:%S} UTC")
    return reasons or ["there are no open orders"]
