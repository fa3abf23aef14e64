"""The job `seedance_plan`: a preview of what a run would order and cost, as metadata."""

from typing import Any

import dagster as dg

from seedance_dagster.defs.configs import PlanConfig
from seedance_dagster.defs.naming import PLAN_JOB, PLAN_OP, Names
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.resources import services_of

_DESCRIPTION = (
    "Shows what each prompt would cost, what exists already and what is left of the budgets. Costs nothing: "
    "nothing is ordered or sent. The table is in the metadata of the step's output."
)


def build_plan_job(
    names: Names, source: PromptSource, resources: dict[str, dg.ResourceDefinition]
) -> dg.JobDefinition:
    """Build the job `seedance_plan` with its resources.

    Args:
        names: The names of job, op and resources.
        source: Where the prompt sets are read.
        resources: The resources of the code location.
    """

    @dg.op(
        name=names(PLAN_OP),
        out=dg.Out(dg.Nothing),
        description=_DESCRIPTION,
        required_resource_keys=names.services,
    )
    def plan_op(
        context: dg.OpExecutionContext,
        config: PlanConfig,
    ) -> dg.Output[Any]:
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.defs.steps.plan import plan_output

        with as_failure(), services_of(context, names) as services:
            return plan_output(context, config, services, source)

    @dg.job(
        name=names(PLAN_JOB),
        executor_def=dg.in_process_executor,
        resource_defs=resources,
        description=_DESCRIPTION,
    )
    def seedance_plan() -> None:
        plan_op()

    return seedance_plan
