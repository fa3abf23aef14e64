"""Steps of tests on an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from seedance_dagster.engine.events import Delayed, Event, Placed
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance

_TOO_LONG_S = 100.0  # a run that waits for ever is a failure, not a hang


def one_clock(engine: Any) -> None:
    """Give the vendor our clock, so that minutes pass on both sides."""
    engine.emulator.emulator.vendor.clock = engine.services.clock


def waiting_run(
    engine: Any,
    accepted: Sequence[Placed],
    *,
    on_event: Callable[[Event], None] | None = None,
    on_delay: Callable[[str], None] | None = None,
) -> list[Event]:
    """A run that waits for its orders.

    Args:
        engine: The engine.
        accepted: What it waits for.
        on_event: Called with each event, before the next is asked for.
        on_delay: Called with the reason of each delay.
    """
    ids = [each.order.order_id for each in accepted]
    seen = []

    async def in_time() -> AsyncIterator[Event]:
        async with (
            asyncio.timeout(_TOO_LONG_S),
            aclosing(advance(engine.services, owner="run", only=ids)) as run,
        ):
            async for event in run:
                yield event

    with in_background(in_time) as events:
        for event in events:
            seen.append(event)
            if on_event is not None:
                on_event(event)
            if on_delay is not None and isinstance(event, Delayed):
                on_delay(event.reason)
    return seen


def delays(events: Sequence[Event]) -> list[str]:
    """The reasons of all delays."""
    return [event.reason for event in events if isinstance(event, Delayed)]


class Once:
    """Does something at the first event that fits, and something else at the first that fits later."""

    def __init__(self, *steps) -> None:
        self._steps = list(steps)

    def __call__(self, event: Event) -> None:
        if self._steps and self._steps[0][0](event):
            self._steps.pop(0)[1]()

    @property
    def done(self) -> bool:
        return not self._steps
