"""The jobs for all prompt sets, with a schedule for `seedance_order_pending`, and one job for each set."""

from collections.abc import Generator, Iterable, Iterator
from typing import Any

import dagster as dg

from seedance_dagster.defs.configs import PendingConfig, limit_points
from seedance_dagster.defs.events import AssetEvent, StepEvent
from seedance_dagster.defs.naming import (
    ADVANCE_JOB,
    CLEANUP,
    ORDER_OP,
    PENDING_JOB,
    PROMPTS,
    TASKS,
    VIDEOS,
    Names,
    asset_key,
    generate_job,
)
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.resources import services_of
from seedance_dagster.defs.step_cleanup import StepCleanup

Resources = dict[str, dg.ResourceDefinition]
"""The resources of a code location; jobs that a sensor starts need them before Dagster hands them out."""

_AFTER_PEAK = "5 15 * * *"  # the vendor's peak hours end at 15:00 UTC


def build_advance_job(names: Names, resources: Resources) -> dg.JobDefinition:
    """Build the job `seedance_advance` with its resources."""

    @dg.op(
        name=names("advance"),
        out={},
        required_resource_keys=names.services | {names(CLEANUP)},
        description="Submits queued orders, follows tasks and stores finished videos, for all prompt sets. "
        "Orders nothing new.",
    )
    def advance_op(context: dg.OpExecutionContext) -> Iterator[StepEvent]:
        def events() -> Generator[StepEvent, None, None]:
            from seedance_dagster.defs.steps.admission import admitted_ledger
            from seedance_dagster.defs.steps.advance import advance_events
            from seedance_dagster.defs.steps.advancers import advancer_leases, one_lease_of, run_owner
            from seedance_dagster.defs.steps.failures import as_failure

            with (
                as_failure(),
                services_of(context, names) as services,
                admitted_ledger(context, services.ledger),
            ):
                owner = run_owner(context.run_id)
                leases = advancer_leases(services.policy.max_advancers)
                with one_lease_of(services.ledger, leases, owner) as acquired:
                    if not acquired:
                        context.log.info(f"enough runs of {context.job_name} are working: nothing to do")
                        return
                    yield from advance_events(context, services, owner)

        cleanup: StepCleanup = getattr(context.resources, names(CLEANUP))
        yield from cleanup.close_with_run(events())

    @dg.job(
        name=names(ADVANCE_JOB),
        executor_def=dg.in_process_executor,
        resource_defs=resources,
        description="Submits queued orders, follows tasks and stores finished videos. Orders nothing new. "
        "The sensor starts it, for all prompt sets, when there is something to do.",
    )
    def seedance_advance() -> None:
        advance_op()

    return seedance_advance


def build_generate_jobs(names: Names, prompt_sets: Iterable[str]) -> list[Any]:
    """Build the job of each set that makes its videos, for schedules, launchpad and `dagster job backfill`.

    The sensor follows what they order. They are among its targets, so the assets' pages show the sensor.
    """
    return [
        dg.define_asset_job(
            names(generate_job(name)),
            dg.AssetSelection.assets(*(asset_key(name, asset) for asset in (PROMPTS, TASKS, VIDEOS))),
            description=f"Costs money: orders the videos of chosen prompts of {name}, and waits for them.",
        )
        for name in prompt_sets
    ]


def build_pending_job(names: Names, source: PromptSource, resources: Resources) -> dg.JobDefinition:
    """Build the job `seedance_order_pending`, which a person can also launch, with its resources."""

    @dg.op(
        name=names(ORDER_OP),
        out={},
        required_resource_keys=names.services,
        description="Costs money: orders a video for each prompt that has none, and none on its way, as far "
        "as the budgets allow.",
    )
    def order_op(context: dg.OpExecutionContext, config: PendingConfig) -> Iterator[AssetEvent]:
        from seedance_dagster.defs.steps.admission import admitted_sets
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.defs.steps.order_pending import order_pending_events

        with (
            as_failure(),
            services_of(context, names) as services,
            admitted_sets(context, services.ledger, source) as refused,
        ):
            yield from order_pending_events(context, config, services, source, refused)

    @dg.job(
        name=names(PENDING_JOB),
        executor_def=dg.in_process_executor,
        resource_defs=resources,
        description="Costs money: orders a video for each prompt that has none, as far as the budgets allow. "
        "Videos on their way are not ordered again. The sensor and seedance_advance do the rest.",
    )
    def seedance_order_pending() -> None:
        order_op()

    return seedance_order_pending


def build_pending_schedule(
    names: Names, job: dg.JobDefinition, source: PromptSource, max_cost_usd: float | None
) -> dg.ScheduleDefinition:
    """Build the schedule of the same name, daily after the vendor's peak hours.

    Args:
        names: The names of schedule, op and resources.
        job: The job that it starts.
        source: Where the prompt sets are read.
        max_cost_usd: The most that each run may spend, in USD; None leaves it to the budgets.

    Raises:
        ValueError: The amount is not positive.
    """
    max_points = limit_points(max_cost_usd, "pending_usd_per_run")

    @dg.schedule(
        name=names(PENDING_JOB),
        job=job,
        cron_schedule=_AFTER_PEAK,
        required_resource_keys=names.services,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Costs money: at 15:05 UTC, orders a video for each prompt that has none, as far as the "
        "budgets allow. Videos on their way are not ordered again. Off until you switch it on.",
    )
    def seedance_order_pending(
        context: dg.ScheduleEvaluationContext,
        **_resources: object,  # a test that calls the schedule hands them over by name
    ) -> dg.RunRequest | dg.SkipReason:
        from seedance_dagster.defs.steps.admission import admit_tick
        from seedance_dagster.defs.steps.failures import USER_ERRORS
        from seedance_dagster.defs.steps.order_pending import skip_reason

        try:
            with services_of(context, names) as services:
                refused = admit_tick(context, services.ledger, source)
                reason = skip_reason(services, source, max_points, refused)
        except USER_ERRORS as error:
            return dg.SkipReason(str(error))
        if reason is not None:
            return dg.SkipReason(reason)
        config = PendingConfig(max_cost_usd=max_cost_usd)
        return dg.RunRequest(run_config=dg.RunConfig(ops={names(ORDER_OP): config}))

    return seedance_order_pending
