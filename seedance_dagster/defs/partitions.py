"""Keeping Dagster's partitions and `prompts` in step with the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import dagster as dg

from seedance_dagster.api.prices import PriceBook
from seedance_dagster.defs.metadata import prompt_materialization
from seedance_dagster.defs.naming import partitions_def
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.prompts.models import PromptPartition, PromptSet

_CHUNK = 5000  # partitions that Dagster takes in one call


@dataclass
class SyncReport:
    """What a sync changed.

    Attributes:
        added: Partitions added, by set.
        removed: Partitions removed, by set: those whose prompt is gone and that never were ordered.
        edited: Partitions whose `prompts` was told anew because the prompt changed, by set.
    """

    added: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    edited: dict[str, int] = field(default_factory=dict)


def sync_partitions(
    instance: dg.DagsterInstance, ledger: Ledger, sets: Sequence[PromptSet]
) -> SyncReport:
    """Make Dagster's partitions match the prompt sets; raises `LedgerError`."""
    report = SyncReport()
    for prompt_set in sets:
        name = str(partitions_def(prompt_set.name).name)
        wanted = prompt_set.partitions
        known = set(instance.get_dynamic_partitions(name))
        new = [key for key in wanted if key not in known]
        for start in range(0, len(new), _CHUNK):
            instance.add_dynamic_partitions(name, new[start : start + _CHUNK])
        gone = known - set(wanted)
        if gone:
            # What was ordered keeps its partition: its video and its cost stay in sight.
            gone -= set(ledger.latest(prompt_set.name))
        for key in sorted(gone):
            instance.delete_dynamic_partition(name, key)
        report.added[prompt_set.name] = len(new)
        report.removed[prompt_set.name] = len(gone)
    return report


def edited_prompts(ledger: Ledger, prompt_set: PromptSet) -> Iterator[PromptPartition]:
    """Partitions that Dagster was told of with another fingerprint than the files have now."""
    told = ledger.prompts_reported(prompt_set.name)
    for key, partition in prompt_set.partitions.items():
        if key in told and told[key] != partition.fingerprint:
            yield partition


def tell_edits(
    ledger: Ledger, sets: Sequence[PromptSet], prices: PriceBook, *, limit: int
) -> list[tuple[str, PromptPartition, dg.AssetMaterialization]]:
    """New `prompts` materializations for edited prompts, so that what hangs on them shows as Unsynced."""
    events = []
    for prompt_set in sets:
        for partition in islice(edited_prompts(ledger, prompt_set), limit - len(events)):
            event = prompt_materialization(
                prompt_set.name, partition, prices.estimate(partition.request).points
            )
            events.append((prompt_set.name, partition, event))
    return events


def sync_all(
    instance: dg.DagsterInstance, ledger: Ledger, sets: Sequence[PromptSet], prices: PriceBook
) -> SyncReport:
    """Partitions and edits at once, for the command line; raises `LedgerError`."""
    report = sync_partitions(instance, ledger, sets)
    for name, partition, event in tell_edits(ledger, sets, prices, limit=1_000_000):
        instance.report_runless_asset_event(event)
        ledger.note_prompts_reported(name, {partition.key: partition.fingerprint})
        report.edited[name] = report.edited.get(name, 0) + 1
    return report
