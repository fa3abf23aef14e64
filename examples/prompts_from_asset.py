"""A code location in which a model writes the prompts: an asset returns them, and they become partitions.

    dagster dev -f examples/prompts_from_asset.py

Materialize `written_prompts`. Within a minute its rows are partitions of `written/videos`, and the lineage
leads from what wrote a prompt to its video.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from seedance_dagster import (
    PromptsFromAsset,
    SeedanceResource,
    VideoStoreResource,
    build_seedance_definitions,
)

PRODUCTS = ("tea pot", "desk lamp", "wool scarf")


def ask_model(product: str) -> str:
    """Return a prompt for a product; put the call of your model here."""
    return f"A {product} on a wooden table by a window, morning light, slow push in"


@dg.asset(description="The prompts of the products, written by a model.", kinds={"llm"})
def written_prompts() -> list[dict[str, Any]]:
    """Return a row for each product: the fields of a prompt, and further columns as tags."""
    return [
        {"id": product.replace(" ", "-"), "prompt": ask_model(product), "product": product}
        for product in PRODUCTS
    ]


WRITTEN = PromptsFromAsset(
    name="written", asset="written_prompts", defaults={"task_type": "seedance-2-fast", "duration": 4}
)

defs = dg.Definitions.merge(
    dg.Definitions(assets=[written_prompts]),
    build_seedance_definitions(
        [],
        from_asset=[WRITTEN],
        seedance=SeedanceResource(api_key=dg.EnvVar("GOAPI_API_KEY"), budget_usd_per_day=5),
        video_store=VideoStoreResource(bucket="videos"),
    ),
)
