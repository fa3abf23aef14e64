"""Prompts without a video that may be ordered now: as many as the budgets have room for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from seedance_dagster.engine.ordering.budget_check import BudgetCheck, budget_check, budgets_for
from seedance_dagster.engine.ordering.preflight import preflight
from seedance_dagster.engine.ordering.quote import Quote, quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.orders import OrderRequest, Refusals
from seedance_dagster.prompts.models import PromptSet

_FIRST_WAIT = timedelta(hours=20)  # the next day's run of the schedule tries it again
_LONGEST_WAIT = timedelta(days=30)


@dataclass(frozen=True)
class Pending:
    """Prompts of one set that no order answers yet.

    Attributes:
        affordable: The quotes that may be ordered now, in the order of the set.
        budget_check: All of them against the budgets.
        budgets: The budgets that orders of the set count in.
        next_up: The first quote that there is no room for; None when all are affordable.
        invalid: Why the references of a prompt cannot be sent, by partition key.
        postponed: Why a prompt is not tried yet, by partition key: the vendor refused it as invalid.
        answered: The earlier orders that answer the other prompts, by partition key.
    """

    prompt_set: PromptSet
    affordable: tuple[Quote, ...]
    budget_check: BudgetCheck
    budgets: tuple[Budget, ...]
    next_up: Quote | None = None
    invalid: dict[str, str] = field(default_factory=dict)
    postponed: dict[str, str] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)

    @property
    def points(self) -> int:
        """The points that the affordable quotes would reserve together."""
        return sum(quote.estimate.reserved_points for quote in self.affordable)


def read_pending(services: Services, prompt_set: PromptSet, request: OrderRequest) -> Pending:
    """Return the prompts of a set that have neither a video nor an open order, and those that are affordable.

    Args:
        request: Its `max_points` limits what is affordable, whatever the budgets would allow.

    Raises:
        OrderingError: A price is unknown or the ledger cannot be read.
    """
    quotes = quote(services, list(prompt_set.partitions.values()), request, prompt_set=prompt_set.name)
    ready, postponed = _ready(services, quotes)
    return replace(_afford(services, prompt_set, ready.values(), request), postponed=postponed)


def valid_pending(
    services: Services, prompt_set: PromptSet, request: OrderRequest, *, only: Collection[str] | None = None
) -> Pending:
    """Return the same as `read_pending`, without prompts whose references cannot be sent.

    A prompt that is invalid, or turns out to be cheaper, makes room for the prompts after it.

    Args:
        request: As for `read_pending`.
        only: Keys of the partitions to look at; by default all.

    Raises:
        OrderingError: A price is unknown, or the ledger cannot be read or written.
    """
    wanted = [partition for key, partition in prompt_set.partitions.items() if only is None or key in only]
    every = quote(services, wanted, request, prompt_set=prompt_set.name)
    quotes, postponed = _ready(services, every)
    checked: set[str] = set()
    invalid: dict[str, str] = {}
    while True:
        pending = _afford(services, prompt_set, quotes.values(), request)
        # The next one may cost less than its upper bound, and be affordable after all.
        candidates = (*pending.affordable, *filter(None, [pending.next_up]))
        unchecked = [quote for quote in candidates if quote.partition.key not in checked]
        if not unchecked:
            return replace(pending, invalid=invalid, postponed=postponed, answered=_answered(every))
        result = preflight(services, unchecked)
        checked |= {quote.partition.key for quote in unchecked}
        quotes |= {quote.partition.key: quote for quote in result.quotes}
        invalid |= result.invalid
        quotes = {key: quote for key, quote in quotes.items() if key not in invalid}


def _answered(quotes: Iterable[Quote]) -> dict[str, int]:
    return {
        priced.partition.key: priced.existing.order_id for priced in quotes if priced.existing is not None
    }


def _ready(services: Services, quotes: Iterable[Quote]) -> tuple[dict[str, Quote], dict[str, str]]:
    """Return the quotes that may be ordered now, and the reasons why others must wait, by partition key.

    Prompts that the vendor refused as invalid come last, after a wait that doubles each time. Otherwise they
    would use up the limit every day, and no prompt behind them would ever be ordered.
    """
    new = [priced for priced in quotes if priced.is_new]
    refusals = services.ledger.orders.refusals([priced.order for priced in new])
    now, ready, postponed = services.clock(), [], dict[str, str]()
    for priced, refused in zip(new, refusals, strict=True):
        again_at = _again_at(refused)
        if again_at is None or again_at <= now:
            ready.append((refused.count, priced))
        else:
            times = "once" if refused.count == 1 else f"{refused.count} times"
            postponed[priced.partition.key] = (
                f"the vendor refused it as invalid {times}; tried again from {again_at:%Y-%m-%d %H:%M} UTC"
            )
    ready.sort(key=lambda item: item[0])
    return {priced.partition.key: priced for _, priced in ready}, postponed


def _again_at(refused: Refusals) -> datetime | None:
    if refused.last_at is None:
        return None
    doubled: timedelta = _FIRST_WAIT * 2 ** min(refused.count - 1, 10)
    return refused.last_at + min(doubled, _LONGEST_WAIT)


def _afford(
    services: Services, prompt_set: PromptSet, new_quotes: Iterable[Quote], request: OrderRequest
) -> Pending:
    quotes = tuple(new_quotes)
    budgets = budgets_for(services, prompt_set.name, prompt_set.budgets)
    run_limit = services.ledger.orders.remaining_points(request)
    check = budget_check(services, quotes, budgets, run_limit=run_limit)
    next_up = None if check.fits else quotes[check.affordable]
    return Pending(prompt_set, quotes[: check.affordable], check, tuple(budgets), next_up)
