"""The sensor `seedance_sensor`, one for all prompt sets of a code location."""

from collections.abc import Collection, Sequence
from typing import Any

import dagster as dg

from seedance_dagster.defs.naming import Names
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.prompt_table import READ_JOB
from seedance_dagster.defs.resources import services_of

_INTERVAL_S = 10


def build_sensor(
    names: Names,
    source: PromptSource,
    declared: Collection[str],
    status: dg.DefaultSensorStatus,
    jobs: Sequence[Any],
    *,
    pending_usd_per_run: float | None,
) -> dg.SensorDefinition:
    """Build the sensor for the prompt sets of a source.

    Args:
        names: The names of sensor, jobs and resources.
        source: Where the prompt sets are read.
        declared: The names of the sets that the code location has assets for.
        status: Whether it is on by default.
        jobs: The jobs that it starts, `seedance_advance`, `seedance_score` and `seedance_order_pending`, and
            those whose orders it follows.
        pending_usd_per_run: The most that a run of `seedance_order_pending` may spend, in USD; None leaves it
            to the budgets.
    """

    @dg.sensor(
        name=names("seedance_sensor"),
        required_resource_keys=names.services,
        jobs=jobs,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=status,
        description="Follows tasks, keeps partitions in sync with the files, and starts runs: "
        "seedance_advance when there is an order to submit or a video to store, seedance_score for new "
        "videos, and seedance_order_pending for orders of automation conditions that a budget postponed.",
    )
    def seedance_sensor(
        context: dg.SensorEvaluationContext,
        **_resources: object,  # a test that calls the sensor hands them over by name
    ) -> dg.SensorResult | dg.SkipReason:
        from seedance_dagster.defs.steps.failures import ATTENTION, USER_ERRORS
        from seedance_dagster.defs.steps.postponed import with_postponed, with_runs
        from seedance_dagster.defs.steps.prompt_table import table_requests
        from seedance_dagster.defs.steps.tick import tick

        try:
            with services_of(context, names) as services:
                answer = tick(context, names, source, services, declared)
                answer = with_runs(answer, table_requests(context.instance, names, READ_JOB, source))
                return with_postponed(answer, names, services, source, pending_usd_per_run)
        except USER_ERRORS as error:
            return dg.SkipReason(ATTENTION + str(error))

    return seedance_sensor
