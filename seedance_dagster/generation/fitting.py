"""Whether what is quoted fits its budgets: the same figures for runs, dry runs, schedules and plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seedance_dagster.api.prices import points_to_usd
from seedance_dagster.generation.accept import Quote
from seedance_dagster.generation.events import Outcome
from seedance_dagster.generation.services import Services
from seedance_dagster.ledger.budgets import Budget, BudgetStanding, how_many_fit
from seedance_dagster.prompts.budgets import Window


@dataclass(frozen=True)
class Fit:
    """What new orders would cost, against every budget that they count in.

    Attributes:
        new: How many orders would be made.
        points: Their estimates together, in points.
        standings: The budgets as they stand without them.
        fitting: How many of the new orders, from the first on, fit into all budgets.
    """

    new: int
    points: int
    standings: tuple[BudgetStanding, ...]
    fitting: int

    def __str__(self) -> str:
        said = [f"{self.new} new orders, estimated at {points_to_usd(self.points)} USD"]
        said += map(str, self.standings)
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
    of_set = (
        Budget(window=Window(window), points=points, prompt_set=prompt_set) for window, points in own.items()
    )
    return [*services.policy.budgets, *of_set]


def fit(services: Services, quotes: Sequence[Quote], budgets: Sequence[Budget]) -> Fit:
    """How quotes fit into budgets now; raises `LedgerError`."""
    points = [each.estimate.points for each in quotes if each.outcome is Outcome.ACCEPTED]
    standings = tuple(services.ledger.budget_standings(budgets))
    room = min((standing.left for standing in standings), default=sum(points))
    return Fit(len(points), sum(points), standings, how_many_fit(points, room))
