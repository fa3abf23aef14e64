"""The config of a run, as the launchpad shows it."""

from typing import Any

import dagster as dg
from pydantic import Field, model_validator

from seedance_dagster.money import usd_to_points


class _RunConfig(dg.Config):
    """A config in which a field without a value, which the launchpad allows, has its default."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if value is not None}


class GenerationConfig(_RunConfig):
    """The config of a run that materializes a prompt set's assets."""

    regenerate: bool = Field(
        default=False,
        description="Make the selected videos again where they were already stored when this run, or its "
        "backfill, was created. Each is paid for again, once for all retries and re-executions. "
        "Example: true.",
    )
    resubmit_rejected: bool = Field(
        default=False,
        description="Submit again, unchanged, what moderation rejected and what failed after it was charged. "
        "Each is paid for again, and the vendor charges a penalty for each rejection: edit the prompt first "
        "if you can. Example: true.",
    )
    regenerate_discarded: bool = Field(
        default=False,
        description="Make the selected videos again that reviewers had discarded when this run, or its "
        "backfill, was created. Each is paid for again. Example: true.",
    )
    max_attempts: int = Field(
        default=3,
        description="With regenerate_discarded: make no further video of a prompt or take that had this many "
        "attempts. Example: 3.",
    )
    max_cost_usd: float | None = Field(
        default=None,
        description="Order nothing if the orders of this run and its retries, or of the whole backfill, may "
        "cost more than this amount, in USD. By default only the budgets limit a run. Example: 12.50.",
    )


class PendingConfig(_RunConfig):
    """The config of a run of `seedance_order_pending`."""

    max_cost_usd: float | None = Field(
        default=None,
        description="The most that this run and its retries may spend together, in USD; "
        "it orders as many videos as fit. By default the budgets limit it; without one it orders nothing. "
        "Example: 12.50.",
    )
    prompt_sets: list[str] = Field(
        default_factory=list,
        description="Order only for the prompt sets of these names. By default for all. Example: "
        "[launch_spots].",
    )
    postponed_only: bool = Field(
        default=False,
        description="Order only what an automation condition asked for and a budget had no room for. "
        "Example: true.",
    )


class PlanConfig(_RunConfig):
    """The config of a run of `seedance_plan`."""

    set: str = Field(
        default="",
        description="Plan only the prompt set of this name. By default all. Example: launch_spots.",
    )
    partitions: list[str] = Field(
        default_factory=list,
        description="Plan only these partitions; patterns such as cat-* are allowed. By default all. "
        'Example: [cat-garden, "dog-*"].',
    )
    regenerate: bool = Field(default=False, description="Plan for a run with `regenerate`.")
    resubmit_rejected: bool = Field(default=False, description="Plan for a run with `resubmit_rejected`.")
    regenerate_discarded: bool = Field(
        default=False, description="Plan for a run with `regenerate_discarded`."
    )


def limit_points(usd: float | None, name: str) -> int | None:
    """Return a limit in points.

    Raises:
        ValueError: It is not a positive amount.
    """
    if usd is None:
        return None
    try:
        points = usd_to_points(usd)
    except ValueError:
        points = 0
    if points <= 0:
        raise ValueError(f"{name}: {usd} is out of range; allowed are amounts in USD above 0")
    return points
