"""The ground of every part of the ledger: a database and a clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from seedance_dagster.ledger.database import Database


def utc_now() -> datetime:
    """Return the wall clock's time, aware and in UTC."""
    return datetime.now(UTC)


class LedgerPart:
    """One part of the ledger; its public methods are one transaction each."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
