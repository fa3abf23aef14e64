"""One source for each prompt set of a Dagster instance: two code locations do not share a set's name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import dagster as dg

from seedance_dagster.defs.steps.memory import Memory, SetSource, add_keys, delete_keys, source_key


def claim_sources(
    instance: dg.DagsterInstance, code_location: str, places: Mapping[str, str]
) -> dict[str, str]:
    """Make a code location the source of the sets that have none; return the reason for each other set.

    Args:
        instance: The instance that remembers.
        code_location: Its name; empty if it is unknown.
        places: Where each set is read.
    """
    memory = Memory.of(instance)
    sources = {name: SetSource(code_location, place) for name, place in places.items()}
    for name, source in sources.items():
        known = memory.sources.get(name, [])
        if all(source.is_same(other) for other in known):
            _replace_source(instance, name, known, source)
    # Read back, as another code location may have come first.
    claimed, refused = Memory.of(instance), dict[str, str]()
    for name, source in sources.items():
        others = [other for other in claimed.sources.get(name, []) if not source.is_same(other)]
        if others:
            if not memory.sources.get(name):
                delete_keys(instance, [source_key(name, source)])
            refused[name] = _another_source(name, others[0], source)
    return refused


def take_sources(instance: dg.DagsterInstance, code_location: str, places: Mapping[str, str]) -> None:
    """Make a code location the source of some sets, in place of any other; see `claim_sources`."""
    memory = Memory.of(instance)
    for name, place in places.items():
        source = SetSource(code_location, place)
        key = source_key(name, source)
        add_keys(instance, [key])
        delete_keys(instance, {source_key(name, other) for other in memory.sources.get(name, [])} - {key})


def _replace_source(
    instance: dg.DagsterInstance, name: str, known: Collection[SetSource], source: SetSource
) -> None:
    """Remember one source of a set, unless a source with more detail is known already."""
    if source in known or (not source.code_location and any(source.is_same(other) for other in known)):
        return
    add_keys(instance, [source_key(name, source)])
    delete_keys(instance, (source_key(name, other) for other in known))


def _another_source(name: str, known: SetSource, source: SetSource) -> str:
    return (
        f"{name}: in this Dagster instance this prompt set is read from {known}, and a second one of the "
        f"same name from {source}; the second is not used. Rename it, or give its code location a key_prefix "
        "(SEEDANCE_KEY_PREFIX). If its files or its code location only moved, run `seedance-dagster sync "
        "--use-these-prompts` there"
    )
