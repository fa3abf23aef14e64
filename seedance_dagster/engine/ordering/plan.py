"""Plans: the orders that materializing prompt sets would make, and their cost. Nothing is ordered or sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from seedance_dagster.engine.ordering.budget_check import BudgetCheck, budget_check, budgets_for
from seedance_dagster.engine.ordering.current import known_set
from seedance_dagster.engine.ordering.quote import Quote, quote
from seedance_dagster.engine.ordering.saving import Saving, saving_of
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.money import points_to_usd
from seedance_dagster.prompts.models import PromptSet

OUTCOMES = {
    Outcome.ORDERED: "new",
    Outcome.JOINED: "joined",
    Outcome.REUSED: "reused",
    Outcome.SKIPPED: "skipped",
}
"""The word for each outcome of a run for a prompt."""


@dataclass(frozen=True)
class VariantCost:
    """The videos of one value of a set's matrix, and the cost of those that would be ordered.

    Attributes:
        axis: The axis of the matrix.
        value: The value.
        videos: All videos, existing ones included.
        points: The cost of the new orders at current prices, in points.
        exact: False where that is an upper bound.
    """

    axis: str
    value: str
    videos: int
    points: int
    exact: bool


@dataclass(frozen=True)
class Plan:
    """The orders that materializing partitions of one prompt set would make, and their cost.

    Attributes:
        saving: What its drafts save; None for a set without drafts.
    """

    prompt_set: str
    quotes: tuple[Quote, ...]
    budgets: BudgetCheck
    saving: Saving | None = None

    @property
    def new_usd(self) -> Decimal:
        """The cost of the new orders at current prices; the rest is free."""
        return points_to_usd(self.budgets.points)

    @property
    def reserved_usd(self) -> Decimal:
        """The most that the new orders could cost: budgets count this until the charges are known."""
        return points_to_usd(self.budgets.reserved)

    @property
    def exact(self) -> bool:
        """True where the costs of all new orders are known; else they are upper bounds."""
        return all(priced.estimate.exact for priced in self.quotes if priced.is_new)

    @property
    def counts(self) -> str:
        """The number of prompts by outcome, such as "3 new, 1 reused"."""
        counts = Counter(OUTCOMES[priced.outcome] for priced in self.quotes)
        return ", ".join(f"{number} {outcome}" for outcome, number in counts.items()) or "no prompts"

    @property
    def variants(self) -> list[VariantCost]:
        """Videos and costs by each value of the set's matrix; empty for a set without one."""
        quotes = defaultdict[tuple[str, str], list[Quote]](list)
        for priced in self.quotes:
            for pair in priced.partition.variant.items():
                quotes[pair].append(priced)
        # In the order of the file, one axis after the other.
        by_axis = sorted(quotes, key=lambda pair: pair[0])
        return [_variant_cost(*pair, quotes[pair]) for pair in by_axis]

    def ordered_as(self, priced: Quote) -> str | None:
        """Return the partition that a prompt's order is made for; None for its own."""
        order = priced.existing or priced.order
        place = (order.prompt_set, order.partition)
        if priced.repeats is not None:
            place = (self.prompt_set, priced.repeats)
        return None if place == (self.prompt_set, priced.partition.key) else "/".join(place)


def plan_set(
    services: Services,
    prompt_set: PromptSet,
    request: OrderRequest,
    *,
    only: Collection[str] | None = None,
) -> Plan:
    """Plan a prompt set.

    Args:
        prompt_set: The set as it is now.
        request: The options of the run.
        only: The partitions to plan; None for all.

    Raises:
        OrderingError: A price is unknown or the ledger cannot be read.
    """
    prompt_set = known_set(services.ledger, prompt_set)
    wanted = [partition for key, partition in prompt_set.partitions.items() if only is None or key in only]
    quotes = quote(services, wanted, request, prompt_set=prompt_set.name)
    budgets = budgets_for(services, prompt_set.name, prompt_set.budgets)
    check = budget_check(services, quotes, budgets)
    return Plan(prompt_set.name, tuple(quotes), check, saving_of(services, prompt_set, wanted))


def plan_together(services: Services, plans: Iterable[Plan]) -> BudgetCheck:
    """Check all plans against the budgets that the sets share; an order that two sets ask for counts once."""
    new = {
        (priced.order.fingerprint, priced.order.take, priced.order.scope): priced
        for plan in plans
        for priced in plan.quotes
        if priced.is_new
    }
    return budget_check(services, list(new.values()), services.policy.budgets)


def _variant_cost(axis: str, value: str, quotes: Sequence[Quote]) -> VariantCost:
    new = [priced.estimate for priced in quotes if priced.is_new]
    points, exact = sum(estimate.points for estimate in new), all(estimate.exact for estimate in new)
    return VariantCost(axis, value, len(quotes), points, exact=exact)
