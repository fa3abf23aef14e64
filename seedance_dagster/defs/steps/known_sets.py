"""Prompt sets that the code location does not know yet, and those whose file is gone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import dagster as dg

from seedance_dagster.defs.from_asset import FROM_ASSET
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.memory import Memory
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.prompts.loading import LoadedPromptSets


@dataclass(frozen=True)
class GoneSet:
    """A prompt set whose file is gone.

    Attributes:
        name: Its name.
        queued: How many orders are queued for it.
        declared: True while the code location has assets for it.
    """

    name: str
    queued: int
    declared: bool

    def __str__(self) -> str:
        text = f"{self.name}: its prompt file is gone"
        if self.queued:
            text += (
                f", and orders that will be sent are queued for it ({self.queued}): put the file back, or "
                "withdraw them with `seedance-dagster sync --prune`"
            )
        return text + ("; reload the code location to remove its assets" if self.declared else "")


def gone_sets(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    source: PromptSource,
    loaded: LoadedPromptSets,
    declared: Collection[str] = (),
) -> list[GoneSet]:
    """Return the sets whose file is gone, while that matters to assets or queued orders.

    A missing mount makes files look gone, so nothing is withdrawn for this reason alone.
    """
    queued = {
        name: count for name, count in ledger.workload.queued_by_set().items() if name not in loaded.names
    }
    without_file = queued.keys() & sets_without_file(instance, source, loaded)
    return [
        GoneSet(name, queued.get(name, 0), name in declared)
        for name in sorted(gone_declared(loaded, declared) | without_file)
    ]


def sets_without_file(
    instance: dg.DagsterInstance, source: PromptSource, loaded: LoadedPromptSets
) -> list[str]:
    """Return the sets that this instance read from this source and that are in no file any more."""
    if _hides_sets(loaded):
        return []
    return sorted(
        name
        for name, known in Memory.of(instance).sources.items()
        if name not in loaded.names and any(source.is_own(name, origin.place) for origin in known)
    )


def sets_from_assets(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return the sets of an instance whose prompts other assets make, each with its origin."""
    return {
        name: source.place
        for name, known in sorted(Memory.of(instance).sources.items())
        for source in known
        if source.place.startswith(FROM_ASSET)
    }


def gone_declared(loaded: LoadedPromptSets, declared: Collection[str]) -> set[str]:
    """Return the sets that the code location has assets for and that are in no file any more."""
    return set() if _hides_sets(loaded) else set(declared) - set(loaded.names)


def _hides_sets(loaded: LoadedPromptSets) -> bool:
    """Return True if a file that cannot be read may hold sets whose names are unknown."""
    return any(
        file.videos is None
        and not file.prompt_set
        and any(problem.severity == "error" for problem in file.problems)
        for file in loaded.files
    )


def new_sets(loaded: LoadedPromptSets, declared: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each set that the code location has no assets for yet."""
    for name in loaded.names:
        if name not in declared:
            yield f"{name}: a new prompt set; reload the code location to see it"
