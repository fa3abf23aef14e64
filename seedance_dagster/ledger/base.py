"""The common base of the ledger's parts: a database and a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.transitions import transition


def utc_now() -> datetime:
    """Return the wall clock's time, aware and in UTC."""
    return datetime.now(UTC)


class LedgerPart:
    """One part of the ledger; each of its public methods is one transaction.

    Args:
        clock: The wall clock. Leases go by the database's clock where there is one, unless a test passes its
            own.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def _lease_time(self, connection: sa.Connection) -> datetime:
        """Return the time that leases go by: one clock for all machines that share the ledger."""
        now = self._database.time(connection) if self._clock is utc_now else None
        return self._clock() if now is None else now

    def _transition(
        self,
        order: Order,
        to: State,
        *,
        actor: str,
        at: datetime,
        changes: Mapping[str, Any],
        detail: Mapping[str, Any],
    ) -> Order:
        """Move one order to its next state in a transaction of its own; see `transition`."""
        with self._database.updating() as connection:
            return transition(connection, order, to, actor=actor, at=at, changes=changes, detail=detail)
