"""The schedule `generate_pending`: orders what has no video yet, inside a given budget. Off by default."""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from seedance_dagster.api.prices import usd_to_points
from seedance_dagster.defs.failures import MENDABLE, in_words
from seedance_dagster.defs.metadata import AssetEvent
from seedance_dagster.defs.naming import people_tags
from seedance_dagster.defs.reporting import Reporter
from seedance_dagster.defs.resources import (
    LedgerResource,
    SeedanceResource,
    VideoStoreResource,
    open_services,
)
from seedance_dagster.defs.sources import PromptSource
from seedance_dagster.generation.accept import AcceptError, AcceptOptions, accept
from seedance_dagster.generation.fitting import budgets_for
from seedance_dagster.generation.pending import read_pending, sound_pending
from seedance_dagster.generation.services import Services
from seedance_dagster.prompts.models import PromptSet

PENDING_JOB = "accept_pending"
PENDING_SCHEDULE = "generate_pending"
_AFTER_PEAK = "5 15 * * *"  # the vendor's peak hours end at 15:00 UTC
_NO_LIMIT = (
    "it would spend without a limit: set SEEDANCE_PENDING_USD_PER_RUN, max_cost_usd in the run's config, "
    "or a budget by day or month"
)


class PendingConfig(dg.Config):
    """What a run of `accept_pending` may spend, and on what.

    Attributes:
        max_cost_usd: The new orders of this run may not be estimated above this, in USD.
        prompt_sets: Names of the sets to look at; empty for all.
    """

    max_cost_usd: float | None = None
    prompt_sets: list[str] = Field(default_factory=list)


def build_pending_job(source: PromptSource) -> dg.JobDefinition:
    """The job behind the schedule; it can be launched by hand as well."""

    @dg.op(
        name="accept",
        out={},
        description="Orders what has no video yet, as far as the budgets go. **Costs money.**",
    )
    def accept_op(
        context: dg.OpExecutionContext,
        config: PendingConfig,
        seedance: SeedanceResource,
        video_store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[AssetEvent]:
        with in_words(), open_services(context.instance, seedance, video_store, ledger) as services:
            yield from _accept_all(context, config, services, source)

    @dg.job(
        name=PENDING_JOB,
        executor_def=dg.in_process_executor,
        description="Orders what has no video yet, inside a budget; the sensor brings the videos.",
    )
    def accept_pending() -> None:
        accept_op()

    return accept_pending


def build_pending_schedule(
    job: dg.JobDefinition, source: PromptSource, max_cost_usd: float | None
) -> dg.ScheduleDefinition:
    """The schedule, daily after the vendor's peak hours.

    Args:
        job: The job that it starts.
        source: Where the prompt sets are read.
        max_cost_usd: What each run may spend, in USD.

    Raises:
        ValueError: It is no positive number.
    """
    max_points = _points(max_cost_usd, "pending_usd_per_run")

    @dg.schedule(
        name=PENDING_SCHEDULE,
        job=job,
        cron_schedule=_AFTER_PEAK,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Orders what has no video yet, inside a budget. Off until you switch it on.",
    )
    def generate_pending(
        context: dg.ScheduleEvaluationContext,
        seedance: SeedanceResource,
        video_store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> dg.RunRequest | dg.SkipReason:
        try:
            with open_services(context.instance, seedance, video_store, ledger) as services:
                waits_for = _waits_for(services, source, max_points)
        except MENDABLE as error:
            return dg.SkipReason(str(error))
        if waits_for is not None:
            return dg.SkipReason(waits_for)
        config = PendingConfig(max_cost_usd=max_cost_usd)
        return dg.RunRequest(run_config=dg.RunConfig(ops={"accept": config}))

    return generate_pending


def _waits_for(services: Services, source: PromptSource, max_points: int | None) -> str | None:
    """Why nothing can be ordered now; None when something can."""
    problems = services.gate().problems
    if problems:
        return "; ".join(problems)
    sets = source.load().sets
    unlimited = _unlimited(services, sets, max_points)
    if unlimited is not None:
        return unlimited
    found = [read_pending(services, each, max_points=max_points) for each in sets]
    if any(each.affordable for each in found):
        return None
    full = [f"{each.prompt_set.name}: {each.fit}" for each in found if each.fit.new]
    return "; ".join(full) or "every prompt has a video, is under way or was refused"


def _accept_all(
    context: dg.OpExecutionContext, config: PendingConfig, services: Services, source: PromptSource
) -> Iterator[AssetEvent]:
    loaded = source.load()
    for problem in loaded.errors:
        context.log.warning(f"left out: {problem}")
    chosen, left = _checked(config, loaded.sets)
    unlimited = _unlimited(services, chosen, left)
    if unlimited is not None:
        raise dg.Failure(f"nothing was accepted: {unlimited}", allow_retries=False)
    failed: list[str] = []
    for prompt_set in chosen:
        pending, refused = sound_pending(services, prompt_set, max_points=left)
        for key, reason in refused.items():
            context.log.warning(f"{prompt_set.name}: left out {key}: {reason}")
        context.log.info(f"{prompt_set.name}: {pending.fit}; accepting {len(pending.affordable)}")
        if not pending.affordable:
            continue
        try:
            answers = accept(
                services,
                pending.affordable,
                prompt_set=prompt_set.name,
                options=AcceptOptions(max_cost_points=left),
                cause=context.run.root_run_id or context.run_id,
                run_id=context.run_id,
                job_name=PENDING_JOB,
                run_tags=people_tags(context.run.tags),
                budgets=pending.budgets,
            )
        except AcceptError as error:
            failed.append(f"{prompt_set.name}: {error}")
            continue
        left = None if left is None else left - pending.points
        reporter = Reporter(context.instance, services)
        yield from reporter.changed_prompts(prompt_set.name, pending.affordable)
        for answer in answers:
            yield from reporter.task(answer.order)
    if failed:
        raise dg.Failure("\n".join(failed), allow_retries=False)


def _checked(config: PendingConfig, sets: Sequence[PromptSet]) -> tuple[list[PromptSet], int | None]:
    """The sets and the limit in points that a run's config asks for; raises `dg.Failure`."""
    names = [each.name for each in sets]
    unknown = sorted(set(config.prompt_sets) - set(names))
    if unknown:
        raise dg.Failure(
            f"nothing was accepted: there is no prompt set {', '.join(unknown)}; "
            f"known: {', '.join(names) or 'none'}",
            allow_retries=False,
        )
    try:
        points = _points(config.max_cost_usd, "max_cost_usd")
    except ValueError as error:
        raise dg.Failure(f"nothing was accepted: {error}", allow_retries=False) from None
    return [each for each in sets if not config.prompt_sets or each.name in config.prompt_sets], points


def _unlimited(services: Services, sets: Sequence[PromptSet], max_points: int | None) -> str | None:
    """Why nothing may be spent on some sets; None when each has a limit."""
    if max_points is not None:
        return None
    names = [each.name for each in sets if not budgets_for(services, each.name, each.budgets)]
    if not names:
        return None
    return f"{', '.join(names)}: {_NO_LIMIT}"


def _points(usd: float | None, name: str) -> int | None:
    """A limit in points; raises `ValueError` where it is no positive amount."""
    if usd is None:
        return None
    try:
        points = usd_to_points(usd)
    except ValueError:
        points = 0
    if points <= 0:
        raise ValueError(f"{name} must be a positive number of USD, not {usd}")
    return points
