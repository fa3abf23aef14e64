"""The job `seedance_advance`: whatever is due, for all sets, in one run."""

from collections.abc import Generator, Iterator

import dagster as dg

from seedance_dagster.defs.naming import ADVANCE_JOB
from seedance_dagster.defs.resources import (
    LedgerResource,
    SeedanceResource,
    VideoStoreResource,
    open_services,
)
from seedance_dagster.defs.step_cleanup import StepCleanup
from seedance_dagster.defs.steps.metadata import StepEvent


@dg.op(
    name="advance",
    out={},
    description="Submits queued orders, follows tasks, brings finished videos to S3, for all prompt sets.",
)
def advance_op(
    context: dg.OpExecutionContext,
    seedance: SeedanceResource,
    video_store: VideoStoreResource,
    ledger: LedgerResource,
    seedance_cleanup: dg.ResourceParam[StepCleanup],
) -> Iterator[StepEvent]:
    """Advance everything that is due; another such run makes this one end at once."""

    def events() -> Generator[StepEvent, None, None]:
        from seedance_dagster.defs.steps.advance import advance_events, holding
        from seedance_dagster.defs.steps.failures import as_failure

        with as_failure(), open_services(context.instance, seedance, video_store, ledger) as services:
            owner = f"run {context.run_id}"
            with holding(services.ledger, owner) as held:
                if not held:
                    context.log.info("another run advances the generations already; nothing to do")
                    return
                yield from advance_events(context, services, owner)

    yield from seedance_cleanup.close_with_run(events())


@dg.job(name=ADVANCE_JOB, executor_def=dg.in_process_executor)
def seedance_advance() -> None:
    """Submit, follow and collect whatever is due. The sensor starts it when there is something to do."""
    advance_op()
