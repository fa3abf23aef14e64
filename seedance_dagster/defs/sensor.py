"""The sensor `seedance_sensor`, one for all prompt sets of a code location."""

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
    """Build the sensor for the prompt sets of a source."""

    @dg.sensor(
        name="seedance_sensor",
        job_name=ADVANCE_JOB,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=status,
        description="Keeps the partitions in sync with the prompt sets, polls tasks at the video API, and "
        "starts seedance_advance when there is an order to submit or a video to store.",
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
