"""Whether what is quoted fits its budgets: the same figures for runs, dry runs, schedules and plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seedance_dagster.engine.events import Outcome
from seedance_dagster.engine.ordering.place import Quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import Budget, BudgetUsage, count_affordable
from seedance_dagster.money import Window, points_to_usd


@dataclass(frozen=True)
class BudgetCheck:
    """What new orders would cost, against every budget that they count in.

    Attributes:
        new: How many orders would be made.
        points: Their estimates together, in points.
        standings: The budgets as they stand without them.
        run_limit: What the run itself may spend, in points; None for no limit.
        fitting: How many of the new orders, from the first on, fit into all budgets and the run's limit.
    """

    new: int
    points: int
    standings: tuple[BudgetUsage, ...]
    run_limit: int | None
    fitting: int

    def __str__(self) -> str:
        said = [f"{self.new} new orders, estimated at {points_to_usd(self.points)} USD"]
        said += map(str, self.standings)
        if self.run_limit is not None:
            said.append(f"limit of this run: {points_to_usd(self.run_limit)} USD")
        if self.fitting < self.new:
            said.append(f"they do not fit: {f'the first {self.fitting}' if self.fitting else 'none'} would")
        return "; ".join(said)


def budgets_for(services: Services, prompt_set: str, own: Mapping[str, int]) -> list[Budget]:
    """Every limit that orders of a set must fit in.

    Args:
        services: The engine's surroundings, with the limits for all sets.
        prompt_set: The set's name.
        own: The set's own limits, points by window (`PromptSet.budgets`).
    """
    return [*services.policy.budgets, *own_budgets(prompt_set, own)]


def own_budgets(prompt_set: str, own: Mapping[str, int]) -> list[Budget]:
    """A set's own limits; `own` is points by window."""
    return [
        Budget(window=Window(window), points=points, prompt_set=prompt_set) for window, points in own.items()
    ]


def fit(
    services: Services,
    quotes: Sequence[Quote],
    budgets: Sequence[Budget],
    *,
    run_limit: int | None = None,
) -> BudgetCheck:
    """How quotes fit into budgets, and into a run's own limit in points, now; raises `LedgerError`."""
    points = [each.estimate.points for each in quotes if each.outcome is Outcome.ORDERED]
    standings = tuple(services.ledger.budgets.usage(budgets))
    rooms = [standing.remaining for standing in standings]
    if run_limit is not None:
        rooms.append(run_limit)
    fitting = count_affordable(points, min(rooms, default=sum(points)))
    return BudgetCheck(len(points), sum(points), standings, run_limit, fitting)
