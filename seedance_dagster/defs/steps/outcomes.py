"""Observations of the end of an order, on each partition that the order belongs to.

They have no data version: Dagster would take a different one for a change of the asset.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from seedance_dagster.defs.naming import TASKS, VIDEOS, asset_key
from seedance_dagster.health import NoVideoReason, no_video_reason, unknown_charge_reason
from seedance_dagster.ledger.order import WITHDRAWN, Order
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.money import points_to_usd, usd_text

NOT_ORDERED = "not ordered"
"""The state of a partition that a run left without an order."""

_MAX_LOG = 2000  # characters of the vendor's log: an event should not grow without bounds


def stored_observation(order: Order, link: Link) -> dg.AssetObservation:
    """Return the observation of a stored order for `tasks`, which was materialized at its submission."""
    return dg.AssetObservation(
        asset_key=asset_key(link.prompt_set, TASKS),
        partition=link.partition,
        description=f"{link.partition}: stored, task {order.task_id}{_charged(order)}",
        metadata={"seedance/state": order.state.value} | _facts(order),
    )


def ended_observations(order: Order, link: Link) -> list[dg.AssetObservation]:
    """Return the observations of an order that ended without a video, for `tasks` and `videos`."""
    why = no_video_reason(order)
    assert why is not None
    state = WITHDRAWN if order.error_class == WITHDRAWN else order.state.value
    log = "; ".join(order.vendor_logs or ())[:_MAX_LOG]  # the UI shows a text on one line
    facts = _facts(order) | ({"seedance/vendor_log": dg.MetadataValue.text(log)} if log else {})
    return _observations(link.prompt_set, link.partition, state, why, facts)


def not_ordered_observations(
    prompt_set: str, partition: str, why: NoVideoReason
) -> list[dg.AssetObservation]:
    """Return the observations of a partition without an order, for `tasks` and `videos`."""
    return _observations(prompt_set, partition, NOT_ORDERED, why, {})


def _observations(
    prompt_set: str, partition: str, state: str, why: NoVideoReason, facts: dict[str, Any]
) -> list[dg.AssetObservation]:
    metadata: dict[str, Any] = {"seedance/state": state, "seedance/reason": dg.MetadataValue.text(why.reason)}
    if why.advice:
        metadata["seedance/what_to_do"] = dg.MetadataValue.text(why.advice)
    return [
        dg.AssetObservation(
            asset_key=asset_key(prompt_set, asset),
            partition=partition,
            description=f"{partition}: {why}",
            metadata=metadata | facts,
        )
        for asset in (TASKS, VIDEOS)
    ]


def _facts(order: Order) -> dict[str, Any]:
    """Return the known facts of an ended order; unknown ones are left out."""
    charged = order.points_charged if order.task_id else 0  # without a task nothing was taken
    facts: dict[str, Any] = {
        "seedance/charged_usd": None if charged is None else float(points_to_usd(charged)),
        "seedance/charge_unknown": unknown_charge_reason(order),
        "seedance/task_id": order.task_id,
        "seedance/fingerprint": order.fingerprint,
        "seedance/attempt": order.attempt,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _charged(order: Order) -> str:
    charged = order.points_charged
    return "" if charged is None else f", {usd_text(charged)} charged"
