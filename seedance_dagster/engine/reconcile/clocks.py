"""The vendor's clock against ours, and the time in which an order's POST was under way.

Every task of ours whose reply arrived gives an interval: it was made between our POST and its reply. The
difference of the two clocks lies where the intervals of several tasks overlap.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.reconciliation import AnsweredTask

UNKNOWN = timedelta(hours=1)
"""The largest difference of the clocks that is considered possible while no task is known."""

_USUAL = timedelta(minutes=2)
_SERVERS_APART = timedelta(seconds=2)  # the vendor's machines have clocks of their own
NEARLY = timedelta(minutes=5)
"""The longest time by which two of the vendor's times of one moment may differ."""

_NEIGHBOURS = 20  # on either side
_SAME_CLOCK = timedelta(days=1)  # a task from longer before or after says nothing: a clock may have been set


@dataclass(frozen=True)
class Offset:
    """The time by which the vendor's clock is ahead of ours: at least and at most.

    Attributes:
        known: True when it was learned from tasks of ours.
    """

    least: timedelta = -UNKNOWN
    most: timedelta = UNKNOWN
    known: bool = False

    @property
    def usual(self) -> Offset:
        """The difference within which a task is believed to be ours: unknown clocks are usually right."""
        return self if self.known else Offset(-_USUAL, _USUAL)

    @property
    def margin(self) -> timedelta:
        """The time before a window in which a task is in doubt: unknown clocks may be wrong by hours."""
        return NEARLY if self.known else _SAME_CLOCK


@dataclass(frozen=True)
class Window:
    """A span of the vendor's time, both ends included."""

    start: datetime
    end: datetime

    def contains(self, at: datetime) -> bool:
        """Return True for a time inside."""
        return self.start <= at <= self.end


def clock_offset(answered: Sequence[AnsweredTask], at: datetime) -> Offset:
    """Return the difference of the clocks at a time of ours, as narrow as the tasks around it allow.

    The tasks nearest in time count first. One that contradicts them ends the search: a clock was set.

    Args:
        answered: Tasks of ours whose reply arrived, sorted by the time of their POST.
        at: The time, by our clock.
    """
    middle = bisect_left(answered, at, key=lambda task: task.sent_at)
    near = sorted(
        answered[max(0, middle - _NEIGHBOURS) : middle + _NEIGHBOURS], key=lambda task: abs(task.sent_at - at)
    )
    offset = Offset()
    for task in near:
        earliest, latest = task.created_at - task.answered_at, task.created_at - task.sent_at
        if offset.known:
            earliest, latest = max(offset.least, earliest), min(offset.most, latest)
        if abs(task.sent_at - at) > _SAME_CLOCK or earliest > latest:
            break
        offset = Offset(earliest, latest, known=True)
    return replace(offset, least=offset.least - _SERVERS_APART, most=offset.most + _SERVERS_APART)


def post_window(order: Order, offset: Offset, now: datetime) -> Window:
    """Return the window, by the vendor's clock, in which an uncertain order's POST can have made a task."""
    sent_at = order.sent_at or order.claimed_at or order.ordered_at
    lost_at = max(order.lost_at or now, sent_at)
    return Window(sent_at + offset.least, lost_at + offset.most)
