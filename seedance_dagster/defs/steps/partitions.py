"""Keeping Dagster's partitions and the asset `prompts` in sync with the prompt sets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

import dagster as dg

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.counting import counted
from seedance_dagster.defs.naming import prompt_partitions
from seedance_dagster.defs.steps.metadata import prompt_materialization
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.prompts.models import PromptSet

_KEPT = timedelta(days=1)  # one bad save of a file should not change the order of partitions
_NAMED = 5  # partitions in a sentence
_KEPT_ONE = "prompt that was ordered left its file and keeps its partition"
_KEPT_MANY = "prompts that were ordered left their file and keep their partitions"
_MAX_AT_ONCE = 5000  # partitions that Dagster takes in one call


@dataclass
class SyncReport:
    """Numbers of partitions that a sync changed, by prompt set.

    Attributes:
        removed: Those whose prompt has been gone for a day and was never ordered.
        kept: Those whose prompt is gone and was ordered, so that its video and its cost stay visible.
        unknown: The keys of those that never had a prompt: they were added in Dagster, and are removed.
        edited: Those whose `prompts` was reported again because the prompt changed.
    """

    added: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    edited: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, list[str]] = field(default_factory=dict)

    @property
    def unknown_sentences(self) -> Iterator[str]:
        """Sentences that say which partitions were added in Dagster, and removed."""
        for name, keys in self.unknown.items():
            if keys:
                more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
                yield (
                    f"{name}: removed partitions without a prompt: {', '.join(keys[:_NAMED])}{more}. Add the "
                    "prompt to the set's file instead; its partition follows"
                )

    @property
    def kept_sentences(self) -> Iterator[str]:
        """Sentences that say which sets keep partitions of prompts that are gone."""
        for name, count in self.kept.items():
            if count:
                yield (
                    f"{name}: {counted(count, _KEPT_ONE, _KEPT_MANY)}; `seedance-dagster sync --prune` "
                    "removes those that no prompt asks for, not their videos"
                )


def sync_all(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    sets: Sequence[PromptSet],
    catalog: Catalog,
    *,
    now: datetime,
    limit: int | None = None,
) -> SyncReport:
    """Bring partitions and edited prompts in sync; raises `LedgerError`.

    Args:
        ledger: Has the orders, and the notes of reports to Dagster.
        sets: The prompt sets as they are now.
        catalog: The prices of the prompts that are reported.
        limit: The most partitions to remove and report, since each is a write by Dagster; None for all.
    """
    report = SyncReport()
    read_partitions(ledger, sets, actor="sync")
    gone: dict[str, set[str]] = {}
    for prompt_set in sets:
        known = set(instance.get_dynamic_partitions(str(prompt_partitions(prompt_set.name).name)))
        gone[prompt_set.name] = known - prompt_set.partitions.keys()
        report.added[prompt_set.name] = _add(instance, prompt_set, known)
    edited_keys = ledger.reports.edited_prompts()
    for prompt_set in sets:
        removed_keys, kept = _remove(instance, ledger, prompt_set, gone[prompt_set.name], limit)
        removed = len(removed_keys)
        had_prompt = ledger.partitions.known(prompt_set.name) if removed else set()
        report.unknown[prompt_set.name] = [
            key for key in removed_keys if key not in had_prompt and not prompt_set.has_prompt(key)
        ]
        report.kept[prompt_set.name] = kept
        limit = None if limit is None else limit - removed
        keys = edited_keys[prompt_set.name]
        edited = _report_edits(instance, ledger, prompt_set, keys, catalog, now=now, limit=limit)
        limit = None if limit is None else limit - edited
        report.removed[prompt_set.name], report.edited[prompt_set.name] = removed, edited
    return report


def read_partitions(ledger: Ledger, sets: Sequence[PromptSet], *, actor: str) -> None:
    """Note in the ledger what sets ask for, as just read; withdraw the orders that none asks for any more."""
    digests = ledger.partitions.digests()
    for prompt_set in sets:
        if digests.get(prompt_set.name) != prompt_set.digest:
            ledger.partitions.update(prompt_set.name, prompt_set.partitions, digest=prompt_set.digest)
    ledger.withdrawals.unwanted([prompt_set.name for prompt_set in sets], actor=actor)


def _add(instance: dg.DagsterInstance, prompt_set: PromptSet, known: Collection[str]) -> int:
    name = str(prompt_partitions(prompt_set.name).name)
    new = [key for key in prompt_set.partitions if key not in known]
    for chunk in chunked(new, _MAX_AT_ONCE):
        instance.add_dynamic_partitions(name, chunk)
    return len(new)


def _remove(
    instance: dg.DagsterInstance, ledger: Ledger, prompt_set: PromptSet, gone: set[str], limit: int | None
) -> tuple[list[str], int]:
    """Remove the partitions of prompts that were never ordered; return them, and how many others stay."""
    name = str(prompt_partitions(prompt_set.name).name)
    ordered = set[str]()
    if gone:
        # What was ordered keeps its partition, so that its video and its cost stay visible.
        ordered = ledger.partitions.with_orders(prompt_set.name, gone)
        gone -= ordered
        # If they were added again they would come last, in other ranges than before. A final goes at once:
        # a person took its draft's verdict back.
        gone -= ledger.partitions.removed_lately(prompt_set.name, _KEPT) - prompt_set.all_partitions.keys()
    removable = sorted(gone)[:limit]
    for key in removable:
        instance.delete_dynamic_partition(name, key)
    return removable, len([key for key in ordered if not prompt_set.has_prompt(key)])


def _report_edits(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    prompt_set: PromptSet,
    keys: Collection[str],
    catalog: Catalog,
    *,
    now: datetime,
    limit: int | None,
) -> int:
    """Materialize `prompts` again where a prompt was edited, so that its video shows as Unsynced."""
    count = 0
    edited = (prompt_set.partitions[key] for key in sorted(keys) if key in prompt_set.partitions)
    for partition in islice(edited, limit):
        try:
            points = catalog.estimate(partition.request, at=now).points
        except UnknownPriceError:
            continue  # reported once there is a price for it
        event = prompt_materialization(
            prompt_set.name, partition.key, partition.request, partition.fingerprint, points
        )
        instance.report_runless_asset_event(event)
        ledger.reports.mark_prompts(prompt_set.name, {partition.key: partition.fingerprint})
        count += 1
    return count
