"""The end of a step whose run is told to stop."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from logging import Logger

import dagster as dg

from seedance_dagster.defs.steps.metadata import StepEvent

_GOES_ON = (
    "the run was told to stop: it accepts and waits for nothing more. Submitted tasks go on at the vendor "
    "and are paid for, queued orders will be sent as well; the sensor brings their videos"
)


class StepCleanup:
    """Ends a step's work with its run.

    Dagster raises a termination inside a step only while the step works. While Dagster itself writes what
    the step yielded, it raises outside, and never comes back: the step's work would go on, under its leases.
    """

    def __init__(self) -> None:
        self._begun: list[Generator[StepEvent, None, None]] = []

    def close_with_run(self, events: Generator[StepEvent, None, None]) -> Iterator[StepEvent]:
        """The same events; their generator is closed at the latest when the run ends."""
        self._begun.append(events)
        yield from events

    def close(self) -> None:
        """Close what stands where the run left it; what is finished is not touched."""
        for events in self._begun:
            events.close()


@dg.resource(description="Ends a step's work with its run.")
def step_cleanup(_context: dg.InitResourceContext) -> Iterator[StepCleanup]:
    """One for each run."""
    made = StepCleanup()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def on_termination(log: Logger) -> Iterator[None]:
    """Say what goes on when the block is left because its run is told to stop."""
    try:
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError, GeneratorExit):
        log.warning(_GOES_ON)
        raise
