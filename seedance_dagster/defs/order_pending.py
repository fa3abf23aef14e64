"""The schedule and job `seedance_order_pending`: order what has no video yet, inside a budget."""

from collections.abc import Iterator

import dagster as dg

from seedance_dagster.defs.configs import PendingConfig, limit_points
from seedance_dagster.defs.naming import PENDING_JOB
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.resources import (
    LedgerResource,
    SeedanceResource,
    VideoStoreResource,
    open_services,
)
from seedance_dagster.defs.steps.metadata import AssetEvent

PENDING_SCHEDULE = "seedance_order_pending"
_AFTER_PEAK = "5 15 * * *"  # the vendor's peak hours end at 15:00 UTC


def build_pending_job(source: PromptSource) -> dg.JobDefinition:
    """The job behind the schedule; it can be launched by hand as well."""

    @dg.op(
        name="accept",
        out={},
        description="Orders what has no video yet, as far as the budgets go. **Costs money.**",
    )
    def order_op(
        context: dg.OpExecutionContext,
        config: PendingConfig,
        seedance: SeedanceResource,
        video_store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[AssetEvent]:
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.defs.steps.order_pending import order_pending_events

        with as_failure(), open_services(context.instance, seedance, video_store, ledger) as services:
            yield from order_pending_events(context, config, services, source)

    @dg.job(
        name=PENDING_JOB,
        executor_def=dg.in_process_executor,
        description="Orders what has no video yet, inside a budget; the sensor brings the videos.",
    )
    def seedance_order_pending() -> None:
        order_op()

    return seedance_order_pending


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
    max_points = limit_points(max_cost_usd, "pending_usd_per_run")

    @dg.schedule(
        name=PENDING_SCHEDULE,
        job=job,
        cron_schedule=_AFTER_PEAK,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Orders what has no video yet, inside a budget. Off until you switch it on.",
    )
    def seedance_order_pending(
        context: dg.ScheduleEvaluationContext,
        seedance: SeedanceResource,
        video_store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> dg.RunRequest | dg.SkipReason:
        from seedance_dagster.defs.steps.failures import USER_ERRORS
        from seedance_dagster.defs.steps.order_pending import why_waiting

        try:
            with open_services(context.instance, seedance, video_store, ledger) as services:
                waits_for = why_waiting(services, source, max_points)
        except USER_ERRORS as error:
            return dg.SkipReason(str(error))
        if waits_for is not None:
            return dg.SkipReason(waits_for)
        config = PendingConfig(max_cost_usd=max_cost_usd)
        return dg.RunRequest(run_config=dg.RunConfig(ops={"accept": config}))

    return seedance_order_pending
