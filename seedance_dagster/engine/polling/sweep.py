"""The spans of the vendor's history that are worth reading; pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from seedance_dagster.engine.polling.reliability import Belief, Reliability

PAGE_SIZE = 100
"""Tasks on a page: the vendor's maximum."""

_LEAST_RUNNING = 3  # on a page; fewer are polled as cheaply
_SHARES = {Belief.UNPROVEN: 0.2, Belief.PROVEN: 0.4, Belief.REFUTED: 0.01}  # of the rate, for pages


@dataclass(frozen=True)
class Span:
    """A span of the time at which tasks were made, by the vendor's clock.

    Attributes:
        start: When the first of its running tasks was made.
        end: When the last one was made.
        running: The number of our running tasks in it, at most a page.
    """

    start: datetime
    end: datetime
    running: int

    def pages(self, made: int) -> int:
        """Return how many of its pages to read.

        Most of its tasks may have ended; a page that shows few running tasks is not worth its request.

        Args:
            made: The number of our tasks that were made in it.
        """
        pages = -(-max(made, self.running) // PAGE_SIZE)
        return pages if self.running >= _LEAST_RUNNING * pages else 0


def page_wait_s(record: Reliability, per_second: float) -> float:
    """Return the seconds from one page to the next, at a rate of requests."""
    return 1 / (_SHARES[record.belief] * per_second)


def spans(created: Sequence[datetime], *, before: datetime | None) -> list[Span]:
    """Return the spans of all running tasks, the newest first, beginning where the last reading stopped.

    Args:
        created: When each running task was made.
        before: The start of the span that was read last; None for the newest task.
    """
    running_spans = list(_cut(sorted(created, reverse=True)))
    done = 0 if before is None else sum(span.end >= before for span in running_spans)
    return running_spans[done:] + running_spans[:done]


def _cut(newest_first: Sequence[datetime]) -> Iterator[Span]:
    for first in range(0, len(newest_first), PAGE_SIZE):
        part = newest_first[first : first + PAGE_SIZE]
        yield Span(part[-1], part[0], len(part))
