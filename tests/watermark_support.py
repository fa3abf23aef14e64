"""Videos whose watermark is removed: what they cost, and their orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from factories import make_request

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.prices import ANY_RESOLUTION, PriceRow
from seedance_dagster.api.wire import REMOVE_WATERMARK
from seedance_dagster.engine.events import Placed
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import Quote, quote
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts.models import Prompt, PromptSet

SECONDS = 5
VIDEO_POINTS, REMOVAL_POINTS = 7_500_000, 500_000
"""The price of a preview of that length, and the price of removing its watermark."""


def catalog_with_removal() -> Catalog:
    """Return the packaged catalog with the emulator's price of a removal."""
    row = PriceRow(
        type=REMOVE_WATERMARK,
        resolution=ANY_RESOLUTION,
        usd_per_second=Decimal("0.01"),
        source="SEEDANCE_PRICES",
        table="prices.yaml, row 1",
    )
    return Catalog.load().extended({}, [row])


def know_the_price(engine: Any) -> None:
    """Give an engine the price of removing a watermark."""
    engine.services = replace(engine.services, load_catalog=catalog_with_removal)


def preview(text: str, *, name: str = "p0", **fields: Any) -> Prompt:
    """Return a prompt for a preview whose watermark is removed, unless its fields say otherwise."""
    request_fields = {
        "task_type": "seedance-2-preview",
        "duration": SECONDS,
        "remove_watermark": True,
    } | fields
    return Prompt(id=name, request=make_request(text, **request_fields))


def quotes_of(engine: Any, *prompts: Prompt, name: str = "spots", **options: Any) -> list[Quote]:
    """Return the quotes of prompts, as a run asks for them."""
    partitions = list(PromptSet(name, prompts).partitions.values())
    return quote(engine.services, partitions, request_of(**options), prompt_set=name)


def place_cleaned(
    engine: Any, *prompts: Prompt, budgets: tuple[Budget, ...] = (), name: str = "spots", **options: Any
) -> list[Placed]:
    """Order prompts."""
    quotes = quotes_of(engine, *prompts, name=name, **options)
    return place_orders(engine.services, quotes, request_of(**options), budgets=budgets)


def request_of(key: str = "c", **options: Any) -> OrderRequest:
    """Return a request for orders."""
    return OrderRequest(idempotency_key=key, run_id=f"run-{key}", **options)


def pair_of(engine: Any, partition: str = "p0", name: str = "spots") -> tuple[Order, Order]:
    """Return the newest order that renders a partition's video, and the one that cleans it."""
    orders = engine.ledger.queries.of_partition(name, partition)
    return (
        [order for order in orders if order.source_order_id is None][-1],
        [order for order in orders if order.source_order_id is not None][-1],
    )
