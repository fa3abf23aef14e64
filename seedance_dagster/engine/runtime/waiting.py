"""The words for the wait of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.ledger.order import State

_GROUPS = {
    "queued": (State.QUEUED,),
    "being sent": (State.CLAIMED,),
    "uncertain": (State.UNCERTAIN,),
    "at the vendor": (State.SUBMITTED,),
    "to be stored": (State.SUCCEEDED,),
}


def waits_for_slots(states: Mapping[State, int], throttle: Throttle, in_flight: int) -> bool:
    """Return True where orders are queued, and tasks in flight hold all slots.

    Args:
        states: How many of the run's orders are in each state.
        throttle: The room for submitting.
        in_flight: Tasks at the vendor, of all runs.
    """
    return bool(states.get(State.QUEUED)) and bool(throttle.slots) and in_flight >= (throttle.slots or 0)


def describe_wait(states: Counter[State], throttle: Throttle, in_flight: int) -> str:
    """Return what a run waits for; the arguments are those of `waits_for_slots`."""
    counts = {words: sum(states[state] for state in group) for words, group in _GROUPS.items()}
    parts = [f"{count} {words}" for words, count in counts.items() if count]
    total = sum(counts.values())
    text = f"waiting for {total} {'video' if total == 1 else 'videos'}: {', '.join(parts)}"
    if waits_for_slots(states, throttle, in_flight):
        text += f"; {in_flight} of {throttle.slots} slots are taken"
    return "; ".join((text, *throttle.reasons)) if counts["queued"] else text
