"""The work of `seedance_order_pending`, and whether there is any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from seedance_dagster.defs.configs import PendingConfig, limit_points
from seedance_dagster.defs.naming import PENDING_JOB, user_tags
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.metadata import AssetEvent
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.ordering.budget_check import budgets_for
from seedance_dagster.engine.ordering.pending import read_pending, valid_pending
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import OrderingError
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts.models import PromptSet

_NO_LIMIT = (
    "it would spend without a limit: set SEEDANCE_PENDING_USD_PER_RUN, max_cost_usd in the run's config, "
    "or a budget by day or month"
)


def why_waiting(services: Services, source: PromptSource, max_points: int | None) -> str | None:
    """Why nothing can be ordered now; None when something can."""
    problems = services.throttle().problems
    if problems:
        return "; ".join(problems)
    sets = source.load().sets
    unlimited = _unlimited(services, sets, max_points)
    if unlimited is not None:
        return unlimited
    request = OrderRequest(idempotency_key="", run_id="", max_points=max_points)
    found = [read_pending(services, each, request) for each in sets]
    if any(each.affordable for each in found):
        return None
    full = [f"{each.prompt_set.name}: {each.budget_check}" for each in found if each.budget_check.new]
    return "; ".join(full) or "every prompt has a video, is under way or was refused"


def order_pending_events(
    context: dg.OpExecutionContext, config: PendingConfig, services: Services, source: PromptSource
) -> Iterator[AssetEvent]:
    """Order what the config asks for; raises `dg.Failure` where nothing, or not all of it, was accepted."""
    loaded = source.load()
    for problem in loaded.errors:
        context.log.warning(f"left out: {problem}")
    chosen, left = _checked(config, loaded.sets)
    unlimited = _unlimited(services, chosen, left)
    if unlimited is not None:
        raise dg.Failure(f"nothing was ordered: {unlimited}", allow_retries=False)
    failed: list[str] = []
    for prompt_set in chosen:
        request = OrderRequest(
            idempotency_key=context.run.root_run_id or context.run_id,
            run_id=context.run_id,
            job_name=PENDING_JOB,
            run_tags=user_tags(context.run.tags),
            max_points=left,
        )
        pending = valid_pending(services, prompt_set, request)
        for key, reason in pending.invalid.items():
            context.log.warning(f"{prompt_set.name}: left out {key}: {reason}")
        context.log.info(f"{prompt_set.name}: {pending.budget_check}; accepting {len(pending.affordable)}")
        if not pending.affordable:
            continue
        try:
            answers = place_orders(services, pending.affordable, request, budgets=pending.budgets)
        except OrderingError as error:
            failed.append(f"{prompt_set.name}: {error}")
            continue
        left = None if left is None else left - pending.points
        reporter = Reporter(context.instance, services)
        estimates = {quote.partition.key: quote.estimate for quote in pending.affordable}
        partitions = [quote.partition for quote in pending.affordable]
        yield from reporter.changed_prompts(prompt_set.name, partitions, estimates)
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
            f"nothing was ordered: there is no prompt set {', '.join(unknown)}; "
            f"known: {', '.join(names) or 'none'}",
            allow_retries=False,
        )
    try:
        points = limit_points(config.max_cost_usd, "max_cost_usd")
    except ValueError as error:
        raise dg.Failure(f"nothing was ordered: {error}", allow_retries=False) from None
    return [each for each in sets if not config.prompt_sets or each.name in config.prompt_sets], points


def _unlimited(services: Services, sets: Sequence[PromptSet], max_points: int | None) -> str | None:
    """Why nothing may be spent on some sets; None when each has a limit."""
    if max_points is not None:
        return None
    names = [each.name for each in sets if not budgets_for(services, each.name, each.budgets)]
    if not names:
        return None
    return f"{', '.join(names)}: {_NO_LIMIT}"
