"""The saving from drafts: the cost of drafts and accepted finals, against that of finals alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seedance_dagster.engine.ordering.quote import OrderingError, estimate_costs
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.prompts.models import PromptPartition, PromptSet
from seedance_dagster.prompts.slugs import final_key


@dataclass(frozen=True, kw_only=True)
class Saving:
    """The cost of a set's drafts and of their finals at current prices, whatever was ordered before.

    Attributes:
        drafts: The number of drafts.
        accepted: The number of those that are accepted now.
        draft_points: The cost of all drafts.
        final_points: The cost of the finals of the accepted ones.
        all_final_points: The cost of the finals of all drafts, as if there were no drafts.
        exact: False where a cost is an upper bound.
    """

    drafts: int
    accepted: int
    draft_points: int
    final_points: int
    all_final_points: int
    exact: bool

    @property
    def points(self) -> int:
        """The saving, in points; negative where drafts and finals cost more than finals alone."""
        return self.all_final_points - self.draft_points - self.final_points


def saving_of(services: Services, prompt_set: PromptSet, wanted: Iterable[PromptPartition]) -> Saving | None:
    """Return what drafts save among some partitions of a set; None where none of them is a draft.

    Args:
        prompt_set: The set as it is now.
        wanted: The partitions.

    Raises:
        OrderingError: A price is unknown or the ledger cannot be read.
    """
    drafts = [partition for partition in wanted if partition.is_draft]
    if not drafts:
        return None
    finals = [prompt_set.all_partitions[final_key(draft.key)] for draft in drafts]
    try:
        of_drafts, of_finals = estimate_costs(services, drafts), estimate_costs(services, finals)
    except LedgerError as error:
        raise OrderingError(str(error)) from None
    accepted = [draft.key in prompt_set.accepted for draft in drafts]
    return Saving(
        drafts=len(drafts),
        accepted=sum(accepted),
        draft_points=sum(cost.points for cost in of_drafts),
        final_points=sum(cost.points for cost, is_in in zip(of_finals, accepted, strict=True) if is_in),
        all_final_points=sum(cost.points for cost in of_finals),
        exact=all(cost.exact for cost in (*of_drafts, *of_finals)),
    )
