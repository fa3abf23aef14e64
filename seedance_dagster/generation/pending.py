"""What has no video yet and may be ordered now: as many prompts as the budgets have room for."""

from __future__ import annotations

from dataclasses import dataclass

from seedance_dagster.generation.accept import quote
from seedance_dagster.generation.events import Outcome
from seedance_dagster.generation.fitting import Fit, budgets_for, fit
from seedance_dagster.generation.services import Services
from seedance_dagster.ledger.budgets import Budget, how_many_fit
from seedance_dagster.prompts.models import PromptPartition, PromptSet


@dataclass(frozen=True)
class Pending:
    """Prompts of one set that nothing answers yet.

    Attributes:
        prompt_set: The set.
        affordable: Those that may be ordered now, in the order of the set.
        points: Their estimates together, in points.
        fit: All of them against the budgets.
        budgets: The budgets that orders of the set count in.
    """

    prompt_set: PromptSet
    affordable: tuple[PromptPartition, ...]
    points: int
    fit: Fit
    budgets: tuple[Budget, ...]


def read_pending(services: Services, prompt_set: PromptSet, *, max_points: int | None) -> Pending:
    """What of a set has neither a video nor an order under way, and how much of it may be ordered.

    Args:
        services: The engine's surroundings.
        prompt_set: The set.
        max_points: Spend no more than this, whatever the budgets would allow; in points.

    Raises:
        AcceptError: A price is unknown or the ledger cannot be read.
    """
    quotes = quote(services, list(prompt_set.partitions.values()), prompt_set=prompt_set.name)
    new = [each for each in quotes if each.outcome is Outcome.ACCEPTED]
    budgets = budgets_for(services, prompt_set.name, prompt_set.budgets)
    found = fit(services, quotes, budgets)
    points = [each.estimate.points for each in new]
    room = sum(points) if max_points is None else max_points
    count = min(found.fitting, how_many_fit(points, room))
    affordable = tuple(each.partition for each in new[:count])
    return Pending(prompt_set, affordable, sum(points[:count]), found, tuple(budgets))
