"""Existing orders that answer partitions, where nothing may be ordered."""

from __future__ import annotations

from collections.abc import Mapping

from seedance_dagster.engine.events import Placed
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.asked import RequestedTake
from seedance_dagster.ledger.orders import OrderRequest, Outcome


def existing_answers(
    services: Services, prompt_set: str, wanted: Mapping[str, RequestedTake], *, run_id: str
) -> list[Placed]:
    """Return the orders that answer some partitions of a set, and link the partitions to them.

    A partition whose request ended without a video is skipped; one that was never ordered has no answer.

    Args:
        prompt_set: The set's name.
        wanted: The requests, by partition key.
        run_id: The run that asks.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    if not wanted:
        return []
    ledger = services.ledger
    request = OrderRequest(idempotency_key="", run_id=run_id)
    existing = ledger.orders.existing_answers(prompt_set, wanted, request)
    latest = ledger.queries.latest(prompt_set) if None in existing.values() else {}
    placed = []
    for key, answer in existing.items():
        ended = latest.get(key)
        if answer is not None:
            placed.append(Placed(key, *answer))
        elif ended is not None and ended.fingerprint == wanted[key].fingerprint:
            placed.append(Placed(key, ended, Outcome.SKIPPED))
    ledger.partitions.link(prompt_set, {answer.partition: answer.order.order_id for answer in placed})
    return placed
