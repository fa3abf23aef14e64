"""Limits on orders that nobody watches: those of an automation condition or a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from seedance_dagster.engine.ordering.budget_check import BudgetCheck, budget_check, budgets_for
from seedance_dagster.engine.ordering.quote import Quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.money import usd_text
from seedance_dagster.prompts.models import PromptSet

_NO_LIMIT = (
    "nothing limits what it may spend: set SEEDANCE_PENDING_USD_PER_RUN, max_cost_usd in the run's config, "
    "or a budget by day or month"
)


@dataclass(frozen=True)
class Affordable:
    """Quotes that the limits have room for.

    Attributes:
        quotes: Those that may be placed.
        declined: Why the others may not, by partition key.
    """

    quotes: tuple[Quote, ...]
    declined: dict[str, str] = field(default_factory=dict)


def no_limit_reason(services: Services, sets: Sequence[PromptSet], max_points: int | None) -> str | None:
    """Return the reason why sets without any limit may not be ordered; None when each has one."""
    if max_points is not None:
        return None
    names = [
        prompt_set.name
        for prompt_set in sets
        if not budgets_for(services, prompt_set.name, prompt_set.budgets)
    ]
    return f"{', '.join(names)}: {_NO_LIMIT}" if names else None


def within_limits(
    services: Services, quotes: Sequence[Quote], request: OrderRequest, *, budgets: Sequence[Budget]
) -> Affordable:
    """Return the quotes that fit, the first ones first, and postpone those that a budget has no room for.

    A postponed partition stays so until an order answers it, even if this process dies before it places the
    quotes that fit. Partitions that only the run's own limit leaves out are not postponed: nobody asked to
    spend that much every day.

    Args:
        quotes: The quotes of one prompt set.
        request: Its `max_points` counts as well.
        budgets: The budgets that orders of the set count in.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    run_limit = services.ledger.orders.remaining_points(request)
    check = budget_check(services, quotes, budgets, run_limit=run_limit)
    new = [quote.partition.key for quote in quotes if quote.is_new]
    left_out = set(new[check.affordable :])
    left_out |= {quote.partition.key for quote in quotes if quote.repeats in left_out}
    by_run = run_limit is not None and all(run_limit < usage.remaining for usage in check.usages)
    if new and not by_run:
        prompt_set = quotes[0].order.prompt_set
        services.ledger.partitions.postpone(prompt_set, {*new, *left_out})
    reason = _by_run(run_limit or 0) if by_run else _by_budget(check, services)
    return Affordable(
        tuple(quote for quote in quotes if quote.partition.key not in left_out),
        {quote.partition.key: reason for quote in quotes if quote.partition.key in left_out},
    )


def has_room(services: Services, prompt_set: PromptSet, max_points: int | None) -> bool:
    """Return True where a limit applies to a set's orders, and every budget has money left.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    if no_limit_reason(services, [prompt_set], max_points) is not None:
        return False
    usages = services.ledger.budgets.usage(budgets_for(services, prompt_set.name, prompt_set.budgets))
    return all(usage.remaining for usage in usages)


def _by_run(run_limit: int) -> str:
    return (
        f"not ordered: it does not fit the {usd_text(run_limit)} that this run may still spend; "
        "launch a run for it, or raise SEEDANCE_PENDING_USD_PER_RUN"
    )


def _by_budget(check: BudgetCheck, services: Services) -> str:
    tomorrow = services.clock() + timedelta(days=1)
    return (
        f"postponed: {'; '.join(map(str, check.usages))}. seedance_sensor orders it after "
        f"{tomorrow:%Y-%m-%d} 00:00 UTC, as soon as a budget has room"
    )
