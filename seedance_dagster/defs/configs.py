"""What people may set for a run, and the check of an amount."""

import dagster as dg
from pydantic import Field

from seedance_dagster.money import usd_to_points


class GenerationConfig(dg.Config):
    """What a run may be asked for beyond its partitions.

    Attributes:
        regenerate: Generate again what is already stored. It is paid for again.
        resubmit_rejected: Send again what moderation refused, or what failed and was charged.
        max_cost_usd: Accept nothing if the new orders are estimated above this.
        dry_run: Only tell what it would cost.
    """

    regenerate: bool = False
    resubmit_rejected: bool = False
    max_cost_usd: float | None = None
    dry_run: bool = False


class PendingConfig(dg.Config):
    """What a run of `seedance_order_pending` may spend, and on what.

    Attributes:
        max_cost_usd: The new orders of this run may not be estimated above this, in USD.
        prompt_sets: Names of the sets to look at; empty for all.
    """

    max_cost_usd: float | None = None
    prompt_sets: list[str] = Field(default_factory=list)


def limit_points(usd: float | None, name: str) -> int | None:
    """A limit in points; raises `ValueError` where it is no positive amount."""
    if usd is None:
        return None
    try:
        points = usd_to_points(usd)
    except ValueError:
        points = 0
    if points <= 0:
        raise ValueError(f"{name} must be a positive number of USD, not {usd}")
    return points
