"""The end of a step whose run is terminated."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from logging import Logger

import dagster as dg

from seedance_dagster.defs.events import StepEvent

_CONTINUES = (
    "the run is being terminated: it orders nothing more and waits no longer. Submitted tasks continue at "
    "the vendor and are paid for, and queued orders will still be submitted; the sensor starts the runs that "
    "store their videos"
)


class StepCleanup:
    """The steps of a run whose work must end with it.

    Dagster raises a termination inside a step only while the step itself runs. While Dagster stores an event
    that the step yielded, it raises outside and never resumes the step, whose work and leases would live on.
    """

    def __init__(self) -> None:
        self._started: list[Generator[StepEvent, None, None]] = []

    def close_with_run(self, events: Generator[StepEvent, None, None]) -> Iterator[StepEvent]:
        """Yield the same events; close their generator no later than the run ends."""
        self._started.append(events)
        yield from events

    def close(self) -> None:
        """Close the generators that the run abandoned."""
        for events in self._started:
            events.close()


@dg.resource(description="Ends the work of a step together with its run.")
def step_cleanup(_context: dg.InitResourceContext) -> Iterator[StepCleanup]:
    """Provide a cleanup for one run."""
    cleanup = StepCleanup()
    try:
        yield cleanup
    finally:
        cleanup.close()


@contextmanager
def on_termination(log: Logger) -> Iterator[None]:
    """Log what continues without the run when the block is left because the run is terminated."""
    try:
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError, GeneratorExit):
        log.warning(_CONTINUES)
        raise
