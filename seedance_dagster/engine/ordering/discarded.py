"""Videos that a reviewer discarded, as a request to generate them again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.ledger.verdict import Verdict


def with_discarded(
    services: Services, request: OrderRequest, prompt_set: str, keys: Collection[str], *, max_attempts: int
) -> tuple[OrderRequest, list[str]]:
    """Return a request that generates discarded videos again, and the partitions that have no attempts left.

    Only videos discarded before the request was made are generated again, so a retry asks for the same ones.

    Args:
        prompt_set: The set's name.
        keys: The requested partitions.
        max_attempts: The most attempts at one prompt or take, failed ones included.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    ledger, wanted = services.ledger, set(keys)
    discarded = {
        review.order_id: key
        for key, review in ledger.verdicts.current(prompt_set).items()
        if key in wanted
        and review.verdict is Verdict.DISCARDED
        and (request.created_at is None or review.given_at <= request.created_at)
    }
    orders = ledger.queries.get_many(discarded)
    again = [order for order in orders if order.attempt < max_attempts]
    # A video without a watermark is made again from the start.
    ids = {
        order_id
        for order in again
        for order_id in (order.order_id, order.source_order_id)
        if order_id is not None
    }
    enough = [discarded[order.order_id] for order in orders if order.attempt >= max_attempts]
    return replace(request, discarded=frozenset(ids)), sorted(enough)
