"""The work of the job `seedance_order_pending`, and of its schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import dagster as dg

from seedance_dagster.defs.configs import PendingConfig, limit_points
from seedance_dagster.defs.events import AssetEvent
from seedance_dagster.defs.naming import user_tags
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.partitions import read_partitions
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.defs.steps.request import first_request
from seedance_dagster.engine.events import Placed
from seedance_dagster.engine.ordering.current import known_set, read_set
from seedance_dagster.engine.ordering.finals import declined_finals
from seedance_dagster.engine.ordering.pending import Pending, read_pending, valid_pending
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import OrderingError
from seedance_dagster.engine.ordering.unattended import no_limit_reason
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts.models import PromptSet


def skip_reason(
    services: Services, source: PromptSource, max_points: int | None, refused: Mapping[str, str]
) -> str | None:
    """Return the reason why nothing can be ordered now; None if something can.

    `refused` are sets of another code location, each with the reason.
    """
    problems = services.throttle().problems
    if problems:
        return "; ".join(problems)
    sets = tuple(loaded for loaded in source.load(services.store).sets if loaded.name not in refused)
    if refused and not sets:
        return "\n".join(refused.values())
    unlimited = no_limit_reason(services, sets, max_points)
    if unlimited is not None:
        return unlimited
    request = OrderRequest(idempotency_key="", run_id="", max_points=max_points)
    sets = tuple(known_set(services.ledger, prompt_set) for prompt_set in sets)
    pending = [read_pending(services, prompt_set, request) for prompt_set in sets]
    if any(of_set.affordable for of_set in pending):
        return None
    unaffordable = [
        f"{of_set.prompt_set.name}: {of_set.budget_check}" for of_set in pending if of_set.budget_check.new
    ]
    return "; ".join(unaffordable) or "every prompt has a video, is on its way or was rejected"


def order_pending_events(
    context: dg.OpExecutionContext,
    config: PendingConfig,
    services: Services,
    source: PromptSource,
    refused: Mapping[str, str],
) -> Iterator[AssetEvent]:
    """Order as the config says; raises `dg.Failure` where nothing, or not everything, was ordered.

    `refused` are sets of another code location, each with the reason.
    """
    loaded = source.load(services.store)
    for problem in loaded.errors:
        context.log.warning(f"left out: {problem}")
    selected, max_points = _read_config(config, loaded.sets)
    failed = [refused[prompt_set.name] for prompt_set in selected if prompt_set.name in refused]
    selected = [prompt_set for prompt_set in selected if prompt_set.name not in refused]
    unlimited = no_limit_reason(services, selected, max_points)
    if unlimited is not None:
        raise dg.Failure(f"nothing was ordered: {unlimited}", allow_retries=False)
    key, created_at = first_request(context.instance, context.run)
    request = OrderRequest(
        idempotency_key=key,
        run_id=context.run_id,
        created_at=created_at,
        job_name=context.run.job_name,
        run_tags=user_tags(context.run.tags),
        max_points=max_points,
    )
    ordered: list[tuple[Pending, list[Placed]]] = []
    for prompt_set in selected:
        try:
            ordered.append(_place(context, config, services, prompt_set, request))
        except OrderingError as error:
            failed.append(f"{prompt_set.name}: {error}")
    # Only now, so that no order waits for events.
    for pending, placed in ordered:
        yield from _report(Reporter(context.instance, services, pending.prompt_set.name), pending, placed)
    if failed:
        raise dg.Failure("\n".join(failed), allow_retries=False)


def _place(
    context: dg.OpExecutionContext,
    config: PendingConfig,
    services: Services,
    loaded_set: PromptSet,
    request: OrderRequest,
) -> tuple[Pending, list[Placed]]:
    """Order what is pending of one set; raises `OrderingError`."""
    prompt_set = read_set(services, loaded_set, loaded_set.partitions)
    read_partitions(services.ledger, [prompt_set], actor=f"run {context.run_id}")
    partitions = services.ledger.partitions
    only = partitions.postponed(prompt_set.name) if config.postponed_only else None
    pending = valid_pending(services, prompt_set, request, only=only)
    for partition, reason in (pending.invalid | pending.postponed).items():
        context.log.warning(f"left out: {prompt_set.name}/{partition}: {reason}")
    # A prompt that was renamed or repeated shows the video of its request; `seedance_advance` reports it.
    partitions.link(prompt_set.name, pending.answered)
    if only is not None:
        # Those that get no order now wait for tomorrow.
        partitions.postpone(prompt_set.name, only - pending.answered.keys())
    context.log.info(f"{prompt_set.name}: {pending.budget_check}; ordering {len(pending.affordable)}")
    declined = declined_finals(services.ledger, prompt_set.name, pending.affordable)
    for partition, reason in declined.items():
        context.log.warning(f"left out: {prompt_set.name}/{partition}: {reason}")
    ready = [quoted for quoted in pending.affordable if quoted.partition.key not in declined]
    pending = replace(pending, affordable=tuple(ready))
    if not pending.affordable:
        return pending, []
    return pending, place_orders(services, pending.affordable, request, budgets=pending.budgets)


def _report(reporter: Reporter, pending: Pending, placed: Sequence[Placed]) -> Iterator[AssetEvent]:
    estimates = {quote.partition.key: quote.estimate for quote in pending.affordable}
    partitions = [quote.partition for quote in pending.affordable]
    yield from reporter.changed_prompts(pending.prompt_set.name, partitions, estimates)
    for answer in placed:
        yield from reporter.task(answer.order, answer.partition)


def _read_config(config: PendingConfig, sets: Sequence[PromptSet]) -> tuple[list[PromptSet], int | None]:
    """Return the sets and the limit in points that a run's config names; raises `dg.Failure`."""
    names = [prompt_set.name for prompt_set in sets]
    unknown = sorted(set(config.prompt_sets) - set(names))
    if unknown:
        raise dg.Failure(
            f"nothing was ordered: prompt_sets: unknown: {', '.join(unknown)}; allowed are "
            f"{', '.join(names) or 'none, since there are no prompt sets'}",
            allow_retries=False,
        )
    try:
        points = limit_points(config.max_cost_usd, "max_cost_usd")
    except ValueError as error:
        raise dg.Failure(f"nothing was ordered: {error}", allow_retries=False) from None
    selected = [prompt_set for prompt_set in sets if prompt_set.name in (config.prompt_sets or names)]
    return selected, points
