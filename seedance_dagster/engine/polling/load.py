"""The load of polls on the vendor's rate limit, and the waits that follow from it; pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from seedance_dagster.engine.policy import Pacing
from seedance_dagster.ledger.work.leases import LONGEST_DELAY
from seedance_dagster.ledger.work.polls import FollowedTask

_MOST_JITTER = 1.25  # of a delay between two polls
_TURN_SHARE = 0.25  # of the rate, for polls of tasks that the history shows as running
_LEAST_TURN_S = 1800.0


@dataclass(frozen=True)
class Load:
    """The tasks in flight against the requests that may be sent.

    Attributes:
        in_flight: Tasks at the vendor.
        per_second: Requests that all processes together may send.
    """

    in_flight: int
    per_second: float

    @property
    def round_s(self) -> float:
        """The seconds that GETs alone need to look at each task once."""
        return self.in_flight / self.per_second

    def is_heavy(self, pacing: Pacing) -> bool:
        """Return True where GETs alone would see the end of a task late."""
        return self.round_s > pacing.heavy_round_s

    def spread(self, pacing: Pacing) -> Pacing:
        """Return the waits, with polls of young tasks as far apart as the rate requires."""
        longest_s = min(self.round_s, LONGEST_DELAY.total_seconds() / _MOST_JITTER)
        return replace(pacing, max_poll_s=longest_s) if longest_s > pacing.max_poll_s else pacing

    @property
    def turn_s(self) -> float:
        """The length of a task's turn, in seconds: each turn has a poll, whatever the history shows."""
        return max(_LEAST_TURN_S, self.round_s / _TURN_SHARE)

    def may_wait(self, task: FollowedTask, *, until: datetime, now: datetime) -> bool:
        """Return True where the poll of a task that is shown as running may be postponed to a time.

        Each task has a turn at fixed ages. A poll that was due by the last turn is not postponed, and none
        beyond the next one, so no task is forgotten, whatever the history shows.
        """
        if task.submitted_at is None or task.due_at is None:
            return False
        turn = timedelta(seconds=self.turn_s)
        last_turn = task.submitted_at + (now - task.submitted_at) // turn * turn
        return last_turn < task.due_at < until <= last_turn + turn
