"""Pauses: periods in which no process may submit."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.tables.schema import pauses

# A vendor may ask for an hour; a later end was written by a clock that ran ahead.
_LONGEST_PAUSE = timedelta(minutes=65)


class Pauses(LedgerPart):
    """The pauses of submitting, one for each kind of reason."""

    def start(self, kind: str, *, until: datetime, message: str) -> None:
        """Stop all submitting until a time, and say why; of two pauses of one kind the longer counts."""
        longer = sa.select(pauses.c.kind).where(
            pauses.c.kind == kind, pauses.c.until.between(until, self._clock() + _LONGEST_PAUSE)
        )
        with self._database.writing() as connection:
            if connection.scalar(longer) is not None:
                return
            connection.execute(pauses.delete().where(pauses.c.kind == kind))
            connection.execute(pauses.insert().values(kind=kind, until=until, message=message))

    def end(self, kind: str) -> None:
        """End a pause early."""
        with self._database.reading() as connection:
            # Checked first without the writer's lock: every tick calls this.
            if connection.scalar(sa.select(pauses.c.kind).where(pauses.c.kind == kind)) is None:
                return
        with self._database.writing() as connection:
            connection.execute(pauses.delete().where(pauses.c.kind == kind))

    def active(self) -> dict[str, str]:
        """Return the reasons why no process may submit now, by kind; empty when submitting may go on."""
        now = self._clock()
        query = sa.select(pauses.c.kind, pauses.c.message).where(
            pauses.c.until > now, pauses.c.until <= now + _LONGEST_PAUSE
        )
        with self._database.reading() as connection:
            return {row.kind: row.message for row in connection.execute(query.order_by(pauses.c.kind))}
