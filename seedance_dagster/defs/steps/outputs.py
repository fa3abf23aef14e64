"""The outputs of a set's step, which the assets behind it in the same run wait for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from seedance_dagster.defs.events import AssetEvent
from seedance_dagster.defs.naming import PROMPTS, asset_key
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.prompts.models import PromptPartition


def outputs(
    context: dg.AssetExecutionContext,
    services: Services,
    prompt_set: str,
    keys: Collection[str],
    partitions: Sequence[PromptPartition],
) -> Iterator[AssetEvent | dg.MaterializeResult[Any]]:
    """Yield the step's outputs, and report its partitions again.

    With each output Dagster writes a materialization without metadata for each partition of the run, which
    must not be the newest one. If the process is killed in between, the next run of `seedance_advance`
    reports what this one did not.

    Args:
        prompt_set: The set's name.
        keys: The partitions of the run, all of which have a video.
        partitions: The prompts of those that are in the set's file.
    """
    current = {video.partition: video.order for video in services.ledger.videos.current(prompt_set)}
    shown = [Link(prompt_set, key, current[key].order_id) for key in keys if key in current]
    services.ledger.reports.forget(shown)
    for asset in sorted(context.selected_asset_keys):
        yield dg.MaterializeResult(asset_key=asset)
    # A new reporter: one that reported before remembers where the events were.
    reporter = Reporter(context.instance, services, prompt_set)
    if asset_key(prompt_set, PROMPTS) in context.selected_asset_keys:
        yield from reporter.prompts(prompt_set, partitions)
    for key, order in ((link.partition, current[link.partition]) for link in shown):
        links = (link for link in reporter.links(order) if link.partition == key)
        # Again in full, even if another worker has reported some of it since.
        yield from reporter.again(order, [replace(link, reported=None) for link in links])
