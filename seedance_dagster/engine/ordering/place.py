"""Placing orders: everything that must hold before money may move is checked here, once, up front."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from seedance_dagster.api.errors import (
    AddressError,
    AuthenticationError,
    NotFoundError,
    SeedanceError,
    WebPageError,
)
from seedance_dagster.engine.events import Placed
from seedance_dagster.engine.ordering.quote import OrderingError, Quote
from seedance_dagster.engine.ordering.storage_check import check_storage
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import BudgetExceededError, LedgerError
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.media.credentials import CredentialError
from seedance_dagster.storage.errors import StoreError


def place_orders(
    services: Services, quotes: Sequence[Quote], request: OrderRequest, *, budgets: Sequence[Budget] = ()
) -> list[Placed]:
    """Queue an order for every quoted partition that no earlier order answers.

    Args:
        quotes: The quotes for this request.
        request: Who requests, and on what terms.
        budgets: Limits that the new orders must fit into (`budget_check.budgets_for`).

    Returns:
        One answer per quote, in their order.

    Raises:
        OrderingError: Something is missing or a limit would be crossed; nothing was ordered.
    """
    if any(quote.is_new for quote in quotes):
        _check_ready(services)
    try:
        placed = services.ledger.orders.place(
            [quote.order for quote in quotes],
            request,
            budgets,
            quoted={
                order.order_id
                for quote in quotes
                for order in (quote.existing, quote.source)
                if order is not None
            },
        )
    except BudgetExceededError as error:
        raise OrderingError(f"nothing was ordered: {error}") from None
    except LedgerError as error:
        raise OrderingError(str(error)) from None
    return [
        Placed(quote.partition.key, order, outcome)
        for quote, (order, outcome) in zip(quotes, placed, strict=True)
    ]


def _check_ready(services: Services) -> None:
    """Raise `OrderingError` where a video could not be stored or signed, or the key is refused."""
    try:
        if services.signer is not None:
            services.signer.check(services.clock())
        check_storage(services)
        services.claim_prefix()
        asyncio.run(_check_key(services))
    except (CredentialError, StoreError, AuthenticationError, AddressError, LedgerError) as error:
        raise OrderingError(f"nothing was ordered: {error}") from None


async def _check_key(services: Services) -> None:
    async with services.open_client() as client:
        try:
            await client.account()
        except (AuthenticationError, AddressError):
            raise
        except NotFoundError as error:
            raise AddressError(
                f"the API has no page for the account ({error}): check GOAPI_BASE_URL"
            ) from None
        except WebPageError as error:  # a POST to a website would leave every order uncertain
            raise AddressError(str(error)) from None
        except SeedanceError:
            # An account page that is down says nothing about the key; orders wait in the queue.
            return
