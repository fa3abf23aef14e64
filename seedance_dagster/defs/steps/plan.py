"""The work of the job `seedance_plan`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import dagster as dg

from seedance_dagster.defs.configs import GenerationConfig, PlanConfig
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.engine.ordering.current import known_set
from seedance_dagster.engine.ordering.discarded import with_discarded
from seedance_dagster.engine.ordering.plan import OUTCOMES, Plan, plan_set, plan_together
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import BudgetUsage
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.money import points_to_usd
from seedance_dagster.prompts.loading import LoadedPromptSets
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.problems import Problem, PromptSetError

_Row = Mapping[str, str | int | float | None]
_MAX_ROWS = 1000  # an event should not grow without bounds
_PROMPTS = dg.TableSchema(
    [
        dg.TableColumn("set"),
        dg.TableColumn("partition"),
        dg.TableColumn("outcome"),
        dg.TableColumn("usd", "float"),
        dg.TableColumn("task_type"),
        dg.TableColumn("seconds", "int"),
        dg.TableColumn("ordered_as"),
    ]
)
_VARIANTS = dg.TableSchema(
    [
        *(dg.TableColumn(name) for name in ("set", "varies", "value")),
        dg.TableColumn("videos", "int"),
        dg.TableColumn("new_usd", "float"),
    ]
)
_DRAFTS = dg.TableSchema(
    [
        dg.TableColumn("set"),
        *(dg.TableColumn(name, "int") for name in ("drafts", "accepted")),
        *(
            dg.TableColumn(name, "float")
            for name in ("drafts_usd", "finals_usd", "all_in_final_usd", "saved_usd")
        ),
    ]
)
_BUDGETS = dg.TableSchema(
    [
        dg.TableColumn("budget"),
        *(dg.TableColumn(name, "float") for name in ("reserved_usd", "spent_usd", "left_usd")),
    ]
)


def plan_output(
    context: dg.OpExecutionContext, config: PlanConfig, services: Services, source: PromptSource
) -> dg.Output[Any]:
    """Return the output of the step, with the plan as its metadata.

    Raises:
        dg.Failure: The config names a set or a partition that does not exist.
        PromptSetError: The file of the set that the config names has errors.
        OrderingError: A price is unknown or the ledger cannot be read.
    """
    loaded = source.load(services.store)
    for problem in loaded.problems:
        context.log.warning(str(problem))
    selected = [known_set(services.ledger, prompt_set) for prompt_set in _selected_sets(config, loaded)]
    chosen = _selected_partitions(config, selected)
    request = OrderRequest(
        idempotency_key="",
        run_id="",
        regenerate=config.regenerate,
        resubmit_rejected=config.resubmit_rejected,
    )
    plans = []
    for prompt_set in selected:
        name, set_request = prompt_set.name, request
        if config.regenerate_discarded:
            most = GenerationConfig().max_attempts
            set_request, _ = with_discarded(services, request, name, chosen[name], max_attempts=most)
        plans.append(plan_set(services, prompt_set, set_request, only=chosen[name]))
    for plan in plans:
        context.log.info(f"{plan.prompt_set}: {plan.counts}; {plan.budgets}")
    return dg.Output(None, metadata=_metadata(services, plans, loaded.problems))


def _selected_sets(config: PlanConfig, loaded: LoadedPromptSets) -> list[PromptSet]:
    if not config.set:
        return list(loaded.sets)
    if config.set in loaded.unusable:
        raise PromptSetError(loaded.unusable[config.set])
    selected = [prompt_set for prompt_set in loaded.sets if prompt_set.name == config.set]
    if not selected:
        known = ", ".join(loaded.names) or "none, since there are no prompt sets"
        raise dg.Failure(
            f"set: there is no prompt set {config.set!r}; allowed are {known}", allow_retries=False
        )
    return selected


def _selected_partitions(config: PlanConfig, selected: Sequence[PromptSet]) -> dict[str, set[str]]:
    """Return the partitions of each set that a key or pattern of the config names."""
    patterns = config.partitions or ["*"]
    chosen: dict[str, set[str]] = {}
    matched = set[str]()
    for prompt_set in selected:
        by_pattern = {
            pattern: {key for key in prompt_set.partitions if fnmatchcase(key, pattern)}
            for pattern in patterns
        }
        matched |= {pattern for pattern, keys in by_pattern.items() if keys}
        chosen[prompt_set.name] = set[str]().union(*by_pattern.values())
    unmatched = [pattern for pattern in config.partitions if pattern not in matched]
    if unmatched:
        sets = ", ".join(prompt_set.name for prompt_set in selected) or "any set"
        raise dg.Failure(
            f"partitions: no prompt of {sets} is named {', '.join(map(repr, unmatched))}; allowed are "
            "partitions and patterns like 'cat-*'",
            allow_retries=False,
        )
    return chosen


def _metadata(services: Services, plans: Sequence[Plan], problems: Sequence[Problem]) -> dict[str, Any]:
    together = plan_together(services, plans)
    usages = {str(usage.budget): usage for plan in plans for usage in plan.budgets.usages}
    reasons = [
        f"{plan.prompt_set}: only the first {plan.budgets.affordable} of {plan.budgets.new} new ones fit"
        for plan in plans
        if not plan.budgets.fits
    ]
    if not together.fits and not reasons:
        reasons.append(f"together, only the first {together.affordable} of {together.new} new ones fit")
    metadata: dict[str, Any] = {
        "seedance/new_orders": together.new,
        "seedance/estimated_cost_usd": float(points_to_usd(together.points)),
        "seedance/reserved_usd": float(points_to_usd(together.reserved)),
        "seedance/fits_budgets": dg.MetadataValue.text("; ".join(reasons) or "yes"),
        "seedance/outcomes": dg.MetadataValue.md(
            "\n".join(f"- {plan.prompt_set}: {plan.counts}" for plan in plans) or "There are no prompt sets."
        ),
        "seedance/plan": _prompts_table(plans),
        "seedance/budgets": _budgets_table(usages.values()),
    }
    if any(plan.variants for plan in plans):
        metadata["seedance/variants"] = _variants_table(plans)
    if any(plan.saving for plan in plans):
        metadata["seedance/drafts"] = _drafts_table(plans)
    rows = sum(len(plan.quotes) for plan in plans)
    if rows > _MAX_ROWS:
        metadata["seedance/plan_cut"] = (
            f"the first {_MAX_ROWS} of {rows} rows; `seedance-dagster plan` has all"
        )
    if problems:
        metadata["seedance/problems"] = dg.MetadataValue.md("\n".join(f"- {problem}" for problem in problems))
    return metadata


def _prompts_table(plans: Iterable[Plan]) -> dg.TableMetadataValue:
    rows: list[_Row] = [
        {
            "set": plan.prompt_set,
            "partition": priced.partition.key,
            "outcome": OUTCOMES[priced.outcome],
            "usd": float(points_to_usd(priced.estimate.points)),
            "task_type": priced.partition.request.task_type,
            "seconds": priced.partition.request.duration,
            "ordered_as": plan.ordered_as(priced) or "",
        }
        for plan in plans
        for priced in plan.quotes
    ]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows[:_MAX_ROWS]], schema=_PROMPTS)


def _variants_table(plans: Iterable[Plan]) -> dg.TableMetadataValue:
    rows: list[_Row] = [
        {
            "set": plan.prompt_set,
            "varies": cost.axis,
            "value": cost.value,
            "videos": cost.videos,
            "new_usd": float(points_to_usd(cost.points)),
        }
        for plan in plans
        for cost in plan.variants
    ]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows[:_MAX_ROWS]], schema=_VARIANTS)


def _drafts_table(plans: Iterable[Plan]) -> dg.TableMetadataValue:
    rows: list[_Row] = [
        {
            "set": plan.prompt_set,
            "drafts": saving.drafts,
            "accepted": saving.accepted,
            "drafts_usd": float(points_to_usd(saving.draft_points)),
            "finals_usd": float(points_to_usd(saving.final_points)),
            "all_in_final_usd": float(points_to_usd(saving.all_final_points)),
            "saved_usd": float(points_to_usd(saving.points)),
        }
        for plan in plans
        if (saving := plan.saving) is not None
    ]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows], schema=_DRAFTS)


def _budgets_table(usages: Iterable[BudgetUsage]) -> dg.TableMetadataValue:
    rows: list[_Row] = [
        {
            "budget": str(usage.budget),
            "reserved_usd": float(points_to_usd(usage.reserved)),
            "spent_usd": float(points_to_usd(usage.spent)),
            "left_usd": float(points_to_usd(usage.remaining)),
        }
        for usage in usages
    ]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows], schema=_BUDGETS)
