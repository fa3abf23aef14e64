"""A run of a prompt set's step; its checks are evaluated even if it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import dagster as dg

from seedance_dagster.defs.configs import GenerationConfig
from seedance_dagster.defs.events import StepEvent
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.admission import admitted_run
from seedance_dagster.defs.steps.checks import evaluations
from seedance_dagster.defs.steps.failures import USER_ERRORS
from seedance_dagster.defs.steps.generation import GenerationRun
from seedance_dagster.defs.steps.request import PlannedAssets, checks_planned
from seedance_dagster.engine.ordering.budget_check import budgets_for
from seedance_dagster.engine.services import Services


def set_run_events(  # noqa: PLR0917  the arguments of the step
    context: dg.AssetExecutionContext,
    config: GenerationConfig,
    services: Services,
    source: PromptSource,
    name: str,
    unattended_points: int | None,
) -> Iterator[StepEvent]:
    """Run the step of a set, and check the set before the step ends or fails.

    Dagster does not run the checks of a step that failed, and shows each as "Execution failed".

    Args:
        source: Where the set's prompts are read.
        name: The set's name.
        unattended_points: The most that a run started by an automation condition may spend, in points.

    Raises:
        dg.Failure: Some partitions have no video, or nothing was ordered.
        BindingError: Another ledger or code location orders for the set; nothing was checked.
    """
    with admitted_run(context, services.ledger, source, name):
        set_budgets: Mapping[str, int] = {}
        failure, changed, awaited = None, False, False
        try:
            prompt_set = source.load_set(name, services.store)
            set_budgets = prompt_set.budgets
            launched = PlannedAssets.of(context.instance, context.run)
            awaited = launched.has_others(source)
            run = GenerationRun(context, config, services, prompt_set, launched, unattended_points, awaited)
            yield from run.events()
            changed = run.changed
        except (dg.Failure, *USER_ERRORS) as error:
            failure = error
        planned = checks_planned(context.instance, context.run, name)
        # With outputs, Dagster runs the step of the checks after this one.
        if failure is not None or ((changed or planned) and not (awaited and planned)):
            yield from evaluations(services, [name], context.log, budgets_for(services, name, set_budgets))
        if failure is not None:
            raise failure
