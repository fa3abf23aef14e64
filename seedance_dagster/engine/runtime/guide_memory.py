"""The memory of an account's history as a guide to polls, kept in the ledger for later workers."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta

from seedance_dagster.engine.account import of_account
from seedance_dagster.engine.polling.reliability import Reliability
from seedance_dagster.engine.worker import Worker
from seedance_dagster.threads import in_thread

_COUNTS = tuple(count.name for count in fields(Reliability))
_CURSOR, _REST = "read down to", "rests"
_RESTS_FOR = timedelta(minutes=5)
_SAVED_EVERY = timedelta(seconds=5)
_LASTS = timedelta(hours=1)  # what was learned before may have changed


class GuideMemory:
    """The memory of the history of a worker's account.

    Attributes:
        record: What was checked of it.
        cursor: The vendor's time down to which it was read; None for its newest task.
        rests: True for a while after it could not be read, or showed next to no tasks of ours.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._saved_at: datetime | None = None
        self.record = Reliability()
        self.cursor: datetime | None = None
        self.rests = False

    async def recall(self) -> None:
        """Read what was learned within the last hour."""
        observations, now = self._worker.services.ledger.observations, self._now()
        names = {name: self._name(name) for name in (*_COUNTS, _CURSOR, _REST)}
        observed = await in_thread(observations.recall, *names.values())
        fresh = {name: observed[full] for name, full in names.items() if full in observed}
        fresh = {
            name: observation for name, observation in fresh.items() if abs(now - observation.at) < _LASTS
        }
        self.record = Reliability(**{name: fresh[name].value for name in _COUNTS if name in fresh})
        cursor, rest = fresh.get(_CURSOR), fresh.get(_REST)
        self.cursor = datetime.fromtimestamp(cursor.value, UTC) if cursor else None
        self.rests = rest is not None and abs(now - rest.at) < _RESTS_FOR

    async def save(self, *, at_once: bool = False) -> None:
        """Write what was learned, unless that was done just now."""
        now = self._now()
        if self._saved_at is not None and not at_once and abs(now - self._saved_at) < _SAVED_EVERY:
            return
        self._saved_at = now
        values = {self._name(name): count for name, count in asdict(self.record).items()}
        if self.cursor is not None:
            values[self._name(_CURSOR)] = int(self.cursor.timestamp())
        await in_thread(self._worker.services.ledger.observations.remember, values)

    async def rest(self) -> None:
        """Let the history rest for a while."""
        self.rests = True
        await in_thread(self._worker.services.ledger.observations.remember, {self._name(_REST): 1})

    def _name(self, name: str) -> str:
        return of_account(f"history {name}", self._worker)

    def _now(self) -> datetime:
        return self._worker.services.clock()
