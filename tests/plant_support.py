"""Steps of tests on an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from seedance_dagster.engine.events import Delayed, Emit, Event, Placed
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services

_TOO_LONG_S = 100.0  # a run that waits forever fails instead of hanging


def one_clock(engine: Any) -> None:
    """Give the vendor the engine's clock, so that minutes pass on both sides."""
    engine.emulator.emulator.vendor.clock = engine.services.clock


def make_known(engine: Any, text: str = "a known one") -> None:
    """Give both sides one clock and make a task of ours, which the history must list to be trusted."""
    one_clock(engine)
    engine.run(engine.place(text, name="known", idempotency_key=text))
    engine.services.clock.forward(seconds=10)


def waiting_run(
    engine: Any,
    accepted: Sequence[Placed],
    *,
    on_event: Callable[[Event], None] | None = None,
    on_delay: Callable[[str], None] | None = None,
) -> list[Event]:
    """Run a worker that waits for some orders; return the events.

    Args:
        engine: The engine.
        accepted: The orders that it waits for.
        on_event: Called with each event, before the next one is requested.
        on_delay: Called with the reason of each delay.
    """
    ids = [placement.order.order_id for placement in accepted]
    seen = []

    async def run(emit: Emit) -> None:
        async with asyncio.timeout(_TOO_LONG_S):
            await advance(engine.services, emit, owner="run", only=ids)

    with in_background(run) as events:
        for event in events:
            seen.append(event)
            if on_event is not None:
                on_event(event)
            if on_delay is not None and isinstance(event, Delayed):
                on_delay(event.reason)
    return seen


async def events_of(
    services: Services, *, owner: str, only: Sequence[int] | None = None, **box: Any
) -> list[Event]:
    """Advance in this thread; return the events."""
    events: list[Event] = []

    async def emit(event: Event) -> None:
        events.append(event)

    await advance(services, emit, owner=owner, only=only, **box)
    return events


def delays(events: Sequence[Event]) -> list[str]:
    """Return the reasons of all delays."""
    return [event.reason for event in events if isinstance(event, Delayed)]


class Once:
    """A sequence of reactions: each runs once, at the first event that matches after the one before."""

    def __init__(self, *steps) -> None:
        self._steps = list(steps)

    def __call__(self, event: Event) -> None:
        if self._steps and self._steps[0][0](event):
            self._steps.pop(0)[1]()

    @property
    def done(self) -> bool:
        return not self._steps
