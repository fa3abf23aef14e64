"""What all parts of the ledger share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from seedance_dagster.ledger.database import Database


def utc_now() -> datetime:
    """The wall clock, aware and in UTC."""
    return datetime.now(UTC)


class LedgerBase:
    """A database and a clock."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock
