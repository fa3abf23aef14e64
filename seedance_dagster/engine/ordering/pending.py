"""What has no video yet and may be ordered now: as many prompts as the budgets have room for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from seedance_dagster.engine.events import Outcome
from seedance_dagster.engine.ordering.budget_check import BudgetCheck, budgets_for, fit
from seedance_dagster.engine.ordering.place import quote
from seedance_dagster.engine.ordering.preflight import preflight
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import Budget
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
        next_up: The first that there is no room for; None when all are affordable.
    """

    prompt_set: PromptSet
    affordable: tuple[PromptPartition, ...]
    points: int
    fit: BudgetCheck
    budgets: tuple[Budget, ...]
    next_up: PromptPartition | None = None


def read_pending(
    services: Services, prompt_set: PromptSet, *, max_points: int | None, without: Collection[str] = ()
) -> Pending:
    """What of a set has neither a video nor an order under way, and how much of it may be ordered.

    Args:
        services: The engine's surroundings.
        prompt_set: The set.
        max_points: Spend no more than this, whatever the budgets would allow; in points.
        without: Keys of partitions that are left out.

    Raises:
        OrderingError: A price is unknown or the ledger cannot be read.
    """
    wanted = [partition for key, partition in prompt_set.partitions.items() if key not in without]
    quotes = quote(services, wanted, prompt_set=prompt_set.name)
    new = [each for each in quotes if each.outcome is Outcome.ORDERED]
    budgets = budgets_for(services, prompt_set.name, prompt_set.budgets)
    found = fit(services, quotes, budgets, run_limit=max_points)
    affordable = tuple(each.partition for each in new[: found.fitting])
    points = sum(each.estimate.points for each in new[: found.fitting])
    next_up = new[found.fitting].partition if found.fitting < len(new) else None
    return Pending(prompt_set, affordable, points, found, tuple(budgets), next_up)


def valid_pending(
    services: Services, prompt_set: PromptSet, *, max_points: int | None
) -> tuple[Pending, dict[str, str]]:
    """As `read_pending`, of those only whose references may be sent; and why the others may not, by key.

    What is refused, or turns out to be cheaper, makes room for what comes after it.

    Raises:
        OrderingError: A price is unknown, or the ledger cannot be read or written.
    """
    looked_at: set[str] = set()
    refused: dict[str, str] = {}
    while True:
        pending = read_pending(services, prompt_set, max_points=max_points, without=refused)
        # The next one may cost less than its upper bound, and fit after all.
        candidates = (*pending.affordable, *filter(None, [pending.next_up]))
        new = [each for each in candidates if each.key not in looked_at]
        if not new:
            return pending, refused
        looked_at |= {each.key for each in new}
        refused |= preflight(services, new, prompt_set=prompt_set.name).refused
