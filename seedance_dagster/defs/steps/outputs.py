"""The outputs of a set's step, which the assets behind it in the same run wait for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from seedance_dagster.defs.events import AssetEvent
from seedance_dagster.defs.naming import PROMPTS, VIDEOS, asset_key
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.events import Placed
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import Order, Reported
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.prompts.models import PromptPartition

_AFTER_TASK = (Reported.STORED, Reported.OBSERVED, Reported.ENDED)


def outputs(  # noqa: PLR0917  the facts of the run
    context: dg.AssetExecutionContext,
    services: Services,
    prompt_set: str,
    keys: Collection[str],
    partitions: Sequence[PromptPartition],
    placed: Sequence[Placed],
) -> Iterator[AssetEvent | dg.MaterializeResult[Any]]:
    """Yield the step's outputs, and report its partitions again.

    With each output Dagster writes a materialization without metadata for each partition of the run, which
    must not be the newest one. If the process is killed in between, the next run of `seedance_advance`
    reports what this one did not.

    Args:
        prompt_set: The set's name.
        keys: The partitions of the run, all of which have what was asked for.
        partitions: The prompts of those that are in the set's file.
        placed: The orders that they were given.
    """
    makes_videos = asset_key(prompt_set, VIDEOS) in context.selected_asset_keys
    shown = _videos(services, prompt_set, keys) if makes_videos else _tasks(services, prompt_set, placed)
    services.ledger.reports.forget(link for link, _ in shown)
    for asset in sorted(context.selected_asset_keys):
        yield dg.MaterializeResult(asset_key=asset)
    # A new reporter: one that reported before remembers where the events were.
    reporter = Reporter(context.instance, services, prompt_set)
    if asset_key(prompt_set, PROMPTS) in context.selected_asset_keys:
        yield from reporter.prompts(prompt_set, partitions)
    elif not makes_videos:  # whose prompts Dagster knows
        fingerprints = {partition.key: partition.fingerprint for partition in partitions}
        services.ledger.reports.mark_prompts(prompt_set, fingerprints)
    for link, order in shown:
        if makes_videos:
            links = (other for other in reporter.links(order) if other.partition == link.partition)
            # Again in full, even if another worker has reported some of it since.
            yield from reporter.again(order, [replace(other, reported=None) for other in links])
        else:
            yield from reporter.task(order, link.partition)
            if link.reported in _AFTER_TASK:  # Dagster still shows it
                services.ledger.reports.mark_reported({link: link.reported})


def _videos(services: Services, prompt_set: str, keys: Collection[str]) -> list[tuple[Link, Order]]:
    current = {video.partition: video.order for video in services.ledger.videos.current(prompt_set)}
    return [(Link(prompt_set, key, current[key].order_id), current[key]) for key in keys if key in current]


def _tasks(services: Services, prompt_set: str, placed: Sequence[Placed]) -> list[tuple[Link, Order]]:
    return [
        (link, answer.order)
        for answer in placed
        for link in services.ledger.reports.links(answer.order.order_id)
        if (link.prompt_set, link.partition) == (prompt_set, answer.partition)
    ]
