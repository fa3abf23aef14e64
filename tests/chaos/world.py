"""The vendor and the prompt sets of a round, drawn at random."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.extras import cleaned, with_own_file
from chaos.faults import draw_marker
from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.prompts.models import Prompt, PromptSet


def draw_settings(rng: random.Random, seed: int) -> dict[str, Any]:
    """Draw the emulator's settings."""
    return {
        "seed": seed,
        "plan_limit": rng.choice((2, 4, 8, 20, 100)),
        "queue_seconds": rng.uniform(0, 0.3),
        "render_seconds": rng.uniform(0, 0.5),
        "account_shape": rng.choice(("wallet", "credit_pack", "both", "quota")),
        "penalties": rng.random() < 0.8,
        "frozen_after_completion": rng.choice(("zero", "consume")),
        "echo_input": rng.choice(("as_sent", "as_rendered")),
        "credits_status": rng.choice((402, 400, 403, 429)),
        "plan_limit_status": rng.choice((429, 400, 402)),
        "errors_in_200": rng.random() < 0.3,
        "history_lag_seconds": rng.choice((0, rng.uniform(0, 1))),
        "history_lists_unfinished": rng.random() < 0.8,
        "history_empty_page": rng.choice(("list", "null")),
        "history_model_filter": rng.choice(("works", "ignored", "empty")),
        "link_seconds": rng.choice((86_400, 0.5)),
        "dead_link": rng.choice(("html", "empty", "404")),
        "slow_seconds": 0.4,
        "slow_post_seconds": rng.uniform(0.2, 1.5),
        "video_bytes_at_least": rng.choice((0, 0, 0, 1_500_000)),
        "webhook_echo": rng.choice(("empty", "as_sent")),
    }


def draw_sets(rng: random.Random) -> tuple[PromptSet, ...]:
    """Draw the prompt sets; some texts are the same, and some ask for a fault."""
    count = rng.randint(1, 3)
    total = rng.randint(5, 30)
    ordinary = [f"prompt {number}" for number in range(total)]
    texts = [f"{text} {draw_marker(rng)}" if rng.random() < 0.3 else text for text in ordinary]
    for _ in range(rng.randint(0, 3)):
        texts[rng.randrange(total)] = rng.choice(texts)
    return tuple(
        PromptSet(
            name=f"set{number}",
            prompts=tuple(
                Prompt(id=f"p{position}", request=_request(rng, text), takes=2 if rng.random() < 0.08 else 1)
                for position, text in enumerate(texts[number::count])
            ),
        )
        for number in range(count)
    )


def settle_in(sets: Sequence[PromptSet], folder: Path) -> tuple[PromptSet, ...]:
    """Return the sets as if read from a folder, to which their file references are relative."""
    return tuple(replace(prompts, folder=folder.resolve()) for prompts in sets)


def estimate(sets: Sequence[PromptSet]) -> int:
    """Return the most that the videos of the sets may cost, in points; removals of watermarks come on top."""
    catalog, now = Catalog.load(), datetime.now(UTC)
    return sum(
        catalog.estimate(partition.request.with_watermark, at=now).reserved_points
        for prompts in sets
        for partition in prompts.partitions.values()
    )


def _request(rng: random.Random, text: str) -> GenerationRequest:
    # Few different requests, so that equal ones are common.
    task_type = rng.choice(("seedance-2", "seedance-2-fast"))
    common = {"prompt": text, "duration": rng.choice((4, 4, 5))}
    kind = rng.random()
    if kind < 0.1:
        return with_own_file(rng, common)
    if kind < 0.25:
        return cleaned(rng, common)
    if kind < 0.35:
        return GenerationRequest(
            **common,
            task_type=task_type + rng.choice(("", "-less-restriction")),
            mode=Mode.OMNI_REFERENCE,
            aspect_ratio="1:1",
            image_urls=("https://cdn.example.com/cat.png?ratio=1:1&signature=not-for-manifests",),
        )
    return GenerationRequest(
        **common, task_type=task_type, mode=Mode.TEXT_TO_VIDEO, aspect_ratio=rng.choice(("16:9", "9:16"))
    )
