"""The texts that say what a run waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from seedance_dagster.counting import counted, part_of
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.ledger.order import State

_MINUTE = 90  # seconds; less is "about a minute"
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


def describe_progress(stored: int, videos: int, left: timedelta | None) -> str:
    """Return how far a run is, such as "7 of 24 videos are stored, about 6 min left".

    Args:
        stored: Videos that are stored by now.
        videos: All that the run waits for.
        left: The time that the others may take; None while it is unknown.
    """
    text = part_of(stored, videos, "video", "is stored", "are stored")
    if left is None:
        return text
    seconds = left.total_seconds()
    return (
        f"{text}, about {seconds / 60:.0f} min left" if seconds > _MINUTE else f"{text}, about a minute left"
    )


def describe_wait(states: Counter[State], throttle: Throttle, in_flight: int) -> str:
    """Return what a run waits for; the arguments are those of `waits_for_slots`."""
    counts = {words: sum(states[state] for state in group) for words, group in _GROUPS.items()}
    parts = [f"{count} {words}" for words, count in counts.items() if count]
    total = sum(counts.values())
    text = f"waiting for {counted(total, 'video')}: {', '.join(parts)}"
    if waits_for_slots(states, throttle, in_flight):
        text += f"; {part_of(in_flight, throttle.slots or 0, 'slot', 'is taken', 'are taken')}"
    return "; ".join((text, *throttle.reasons)) if counts["queued"] else text
