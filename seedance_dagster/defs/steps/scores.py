"""The scoring of videos in runs, and the sensor's requests for such runs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from seedance_dagster.counting import counted
from seedance_dagster.defs.events import StepEvent
from seedance_dagster.defs.naming import SCORE_JOB, SCORES, VIDEOS, Names, asset_key, version_tags
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.advancers import one_lease_of, run_owner
from seedance_dagster.defs.steps.index import refreshed_indexes
from seedance_dagster.defs.steps.provenance import input_tags
from seedance_dagster.defs.steps.request import PlannedAssets, checks_planned, selected_partitions
from seedance_dagster.defs.steps.score_checks import score_evaluations
from seedance_dagster.engine.services import Services
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.scores.plan import ScorePlan
from seedance_dagster.scores.run import ScoredVideo, ScoringRun

SCORE_LEASE = "score"
"""The lease of the run that scores: only one run at a time measures the due videos."""

_TIME_BOX_S = 1800.0  # then the sensor starts the next run, with fresh memory and logs
_MAX_NAMED = 20


def due_events(
    context: dg.OpExecutionContext, services: Services, source: PromptSource, refused: Mapping[str, str]
) -> Iterator[StepEvent]:
    """Score the due videos of all sets, except the refused sets of another code location, and report them."""
    sets = source.load(services.store).sets
    plans = source.plans(prompt_set for prompt_set in sets if prompt_set.name not in refused)
    with one_lease_of(services.ledger, [SCORE_LEASE], run_owner(context.run_id)) as acquired:
        if not acquired:
            context.log.info(f"another run of {context.job_name} is working: nothing to do")
            return
        end = time.monotonic() + _TIME_BOX_S
        left = dict(plans)
        # Videos that change meanwhile are scored too; a set with unreadable videos is left to a later run.
        while due := services.ledger.scored.due_sets(_digests(left)):
            for name in due:
                run = ScoringRun(services, plans[name], context.log, lambda: time.monotonic() > end)
                yield from _set_events(context, services, run, plans[name])
                if run.unread or time.monotonic() > end:
                    left.pop(name)


def _set_events(
    context: dg.OpExecutionContext, services: Services, run: ScoringRun, plan: ScorePlan
) -> Iterator[StepEvent]:
    count = 0
    for scored in run.of_changes():
        count += 1
        if plan.scores:
            yield score_event(context.instance, plan, scored)
    if count:
        yield from score_evaluations(services, plan)
        yield from refreshed_indexes(context, services, [plan.prompt_set], changed=())
        context.log.info(f"{plan.prompt_set}: scored {counted(count, 'video')}")


def partition_events(
    context: dg.AssetExecutionContext, services: Services, source: PromptSource, name: str
) -> Iterator[StepEvent]:
    """Score the videos of a run's partitions; what failed before is measured again.

    Raises:
        dg.Failure: Some partitions have no video that can be read.
    """
    plan = source.plans([source.load_set(name, services.store)]).get(name)
    if plan is None or not plan.scores:
        raise dg.Failure(
            f"{name} asks for no scores: list some in its file, such as scores: [motion]", allow_retries=False
        )
    planned = PlannedAssets.of(context.instance, context.run)
    keys = selected_partitions(context, name, planned)
    events = {}
    for scored in ScoringRun(services, plan, context.log).of_partitions(keys):
        events[scored.video.partition] = score_event(context.instance, plan, scored)
        yield events[scored.video.partition]
    missing = [key for key in keys if key not in events]
    awaited = planned.has_others(source, SCORES)
    # With outputs, Dagster runs the steps downstream of this one, that of the checks among them.
    if missing or not (awaited and checks_planned(context.instance, context.run, name, SCORES)):
        yield from score_evaluations(services, plan)
    if missing:
        more = f" and {len(missing) - _MAX_NAMED} more" if len(missing) > _MAX_NAMED else ""
        raise dg.Failure(
            f"these partitions could not be scored: {', '.join(missing[:_MAX_NAMED])}{more}. They have no "
            "video yet, or it could not be read, as the log says"
        )
    if awaited:
        yield dg.MaterializeResult(asset_key=asset_key(name, SCORES))
        yield from events.values()  # Dagster has written an event without metadata for each


def score_event(
    instance: dg.DagsterInstance, plan: ScorePlan, scored: ScoredVideo
) -> dg.AssetMaterialization:
    """Return the event of a video's scores."""
    sha256, partition = str(scored.video.order.sha256), scored.video.partition
    failed = {name: result.problem for name, result in scored.results.items() if result.problem}
    metadata: dict[str, Any] = {
        f"seedance/score_{name}": dg.MetadataValue.text(value) if isinstance(value, str) else value
        for result in scored.results.values()
        for name, value in result.values.items()
    }
    if failed:
        metadata["seedance/score_problems"] = failed
    made_from = input_tags(instance, asset_key(plan.prompt_set, VIDEOS), partition, sha256)
    return dg.AssetMaterialization(
        asset_key=asset_key(plan.prompt_set, SCORES),
        partition=partition,
        metadata=metadata | {"seedance/sha256": sha256},
        tags=version_tags(scored.scored.digest) | made_from,
    )


def score_requests(
    names: Names, services: Services, source: PromptSource, sets: Iterable[PromptSet]
) -> Iterator[dg.RunRequest]:
    """Yield the run that scores due videos, once for each state of the ledger and every ten minutes.

    So neither a killed run nor a bucket that cannot be read starts another run with every tick.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    sets = list(sets)
    plans = source.plans(sets)
    scored = services.ledger.scored
    scored.forget({prompt_set.name for prompt_set in sets} - plans.keys())
    if not plans:
        return
    digests = _digests(plans)
    due = scored.due_sets(digests)
    if due and services.ledger.leases.owner_of(SCORE_LEASE) is None:
        state = repr([(name, digests[name], newest) for name, newest in due.items()])
        digest = hashlib.sha256(state.encode()).hexdigest()[:12]
        ten_minutes = f"{services.clock():%Y-%m-%d %H:%M}"[:-1]
        yield dg.RunRequest(run_key=f"score {ten_minutes} {digest}", job_name=names(SCORE_JOB))


def _digests(plans: Mapping[str, ScorePlan]) -> dict[str, str]:
    return {name: plan.digest for name, plan in plans.items()}
