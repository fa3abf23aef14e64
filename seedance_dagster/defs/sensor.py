"""The sensor: keeps partitions in step, looks at due tasks, and asks for a run when one is worth it."""

import dagster as dg

from seedance_dagster.defs.naming import ADVANCE_JOB
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.resources import (
    LedgerResource,
    SeedanceResource,
    VideoStoreResource,
    open_services,
)

_INTERVAL_S = 10


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
        from seedance_dagster.defs.steps.failures import USER_ERRORS
        from seedance_dagster.defs.steps.tick import tick

        try:
            with open_services(context.instance, seedance, video_store, ledger) as services:
                return tick(context, source, services)
        except USER_ERRORS as error:
            return dg.SkipReason(str(error))

    return seedance_sensor
