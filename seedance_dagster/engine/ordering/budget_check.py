"""Quotes against budgets: the same figures for runs, schedules and plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seedance_dagster.counting import counted
from seedance_dagster.engine.ordering.quote import Quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import Budget, BudgetUsage, count_affordable
from seedance_dagster.money import Window, usd_text


@dataclass(frozen=True)
class BudgetCheck:
    """The cost of new orders, against every budget that they count in.

    Attributes:
        new: How many orders would be made.
        points: Their estimates together, in points.
        reserved: What they would reserve together, in points.
        usages: The budgets as they are used without these orders.
        run_limit: The run's own limit, in points; None for no limit.
        affordable: How many of the new orders, from the first on, fit into all budgets and the run's limit.
    """

    new: int
    points: int
    reserved: int
    usages: tuple[BudgetUsage, ...]
    run_limit: int | None
    affordable: int

    @property
    def fits(self) -> bool:
        """True when all new orders fit."""
        return self.affordable == self.new

    def __str__(self) -> str:
        reserved = f" ({usd_text(self.reserved)} reserved)" if self.reserved != self.points else ""
        parts = [f"{counted(self.new, 'new order')}, estimated at {usd_text(self.points)}{reserved}"]
        parts += map(str, self.usages)
        if self.run_limit is not None:
            parts.append(f"limit of this run: {usd_text(self.run_limit)}")
        if not self.fits:
            parts.append(
                f"they do not fit: {f'the first {self.affordable}' if self.affordable else 'none'} would"
            )
        return "; ".join(parts)


def budgets_for(services: Services, prompt_set: str, own: Mapping[str, int]) -> list[Budget]:
    """Return every limit that orders of a set must fit into.

    Args:
        services: Their policy has the limits for all sets.
        prompt_set: The set's name.
        own: The set's own limits, points by window (`PromptSet.budgets`).
    """
    return [*services.policy.budgets, *own_budgets(prompt_set, own)]


def own_budgets(prompt_set: str, own: Mapping[str, int]) -> list[Budget]:
    """Return a set's own limits; `own` holds points by window."""
    return [
        Budget(window=Window(window), points=points, prompt_set=prompt_set) for window, points in own.items()
    ]


def budget_check(
    services: Services, quotes: Sequence[Quote], budgets: Sequence[Budget], *, run_limit: int | None = None
) -> BudgetCheck:
    """Check quotes against budgets as they are now, and a run's own limit in points; raise `LedgerError`."""
    new = [quote.estimate for quote in quotes if quote.is_new]
    reservations = [estimate.reserved_points for estimate in new]
    usages = tuple(services.ledger.budgets.usage(budgets))
    limits = [usage.remaining for usage in usages]
    if run_limit is not None:
        limits.append(run_limit)
    affordable = count_affordable(reservations, min(limits, default=sum(reservations)))
    points = sum(estimate.points for estimate in new)
    return BudgetCheck(len(new), points, sum(reservations), usages, run_limit, affordable)
