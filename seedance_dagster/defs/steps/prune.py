"""Removal of the partitions and queued orders of prompts that left their file, never of videos."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import dagster as dg

from seedance_dagster.defs.naming import prompt_partitions
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import OPEN, State
from seedance_dagster.prompts.models import PromptSet

_ACTOR = "sync --prune"


@dataclass
class Pruned:
    """Numbers of removed partitions and withdrawn orders, by prompt set.

    Attributes:
        partitions: Partitions of Dagster.
        withdrawn: Queued orders that ended before they were sent.
        waiting: Partitions that stay until the video that was ordered for them is stored.
    """

    partitions: dict[str, int] = field(default_factory=dict)
    withdrawn: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)


def leftovers(
    instance: dg.DagsterInstance, sets: Sequence[PromptSet], gone: Collection[str]
) -> dict[str, set[str]]:
    """Return the partitions whose prompts are in no file any more, by set, including sets that are gone.

    A prompt whose row has an error is still in its file, and so is that of a final.
    """
    keys_by_set: dict[str, set[str]] = {name: _partitions(instance, name) for name in gone}
    for prompt_set in sets:
        keys = _partitions(instance, prompt_set.name) - set(prompt_set.partitions)
        keys = {key for key in keys if not prompt_set.has_prompt(key)}
        if keys:
            keys_by_set[prompt_set.name] = keys
    return keys_by_set


def prune(
    instance: dg.DagsterInstance, ledger: Ledger, left: Mapping[str, set[str]], gone: Collection[str]
) -> Pruned:
    """Withdraw the queued orders that no prompt asks for, and remove partitions; raise `LedgerError`.

    Args:
        left: The partitions to remove, by set; see `leftovers`.
        gone: The sets that have no file any more.
    """
    pruned = Pruned()
    for name, keys in left.items():
        if name in gone:
            ledger.partitions.update(name, {})
        queued = _count_queued(ledger, name)
        ledger.withdrawals.unwanted([name], actor=_ACTOR, grace=timedelta(0))
        pruned.withdrawn[name] = queued - _count_queued(ledger, name)
        latest = ledger.queries.latest(name)
        waiting = {key for key in keys if key in latest and latest[key].state in OPEN}
        for key in sorted(keys - waiting):
            instance.delete_dynamic_partition(str(prompt_partitions(name).name), key)
        pruned.partitions[name], pruned.waiting[name] = len(keys - waiting), len(waiting)
    return pruned


def _partitions(instance: dg.DagsterInstance, name: str) -> set[str]:
    return set(instance.get_dynamic_partitions(str(prompt_partitions(name).name)))


def _count_queued(ledger: Ledger, name: str) -> int:
    return len(ledger.queries.find(prompt_set=name, states={State.QUEUED}))
