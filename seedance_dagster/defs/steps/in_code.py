"""The preconditions of a video that is ordered in code: a valid limit, and the right ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.datasets.in_code import VideoInCode
from seedance_dagster.defs.configs import limit_points
from seedance_dagster.defs.steps.binding import check_ledger, progress_remembered
from seedance_dagster.defs.steps.memory import Memory
from seedance_dagster.engine.ordering.quote import OrderingError
from seedance_dagster.engine.services import Services

_log = logging.getLogger("seedance_dagster")


def video_in_code(
    request: GenerationRequest | Mapping[str, Any],
    key: str,
    prompt_set: str,
    take: int,
    max_cost_usd: float | None,
) -> VideoInCode:
    """Return the video to order; raise `dg.Failure` for an amount that is not allowed."""
    try:
        points = limit_points(max_cost_usd, "max_cost_usd")
    except ValueError as error:
        raise dg.Failure(f"nothing was ordered: {error}", allow_retries=False) from None
    return VideoInCode(request, key, prompt_set, take, points)


@contextmanager
def admitted_in_code(instance: dg.DagsterInstance, services: Services, prompt_set: str) -> Iterator[None]:
    """Let orders in code use a ledger, and remember its progress while the block runs.

    Raises:
        OrderingError: The set is one of prompt files, whose ticks would withdraw the order.
        BindingError: Another ledger orders for this Dagster instance.
    """
    if sources := Memory.of(instance).sources.get(prompt_set):
        raise OrderingError(
            f"nothing was ordered: prompt_set is {prompt_set!r}, which is read from {sources[0]}; allowed is "
            "a name that no prompt file has, such as 'in_code'"
        )
    check_ledger(instance, services.ledger, [prompt_set])
    with progress_remembered(instance, services.ledger, _log):
        yield
