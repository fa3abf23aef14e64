"""Rates: limits on requests per time, which all processes of a ledger share."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.tables.schema import rates

_LONGEST_QUEUE = timedelta(minutes=1)  # a later time was written by a clock that ran ahead


class Rates(LedgerPart):
    """The part of the ledger that shares rate limits."""

    def reserve(self, name: str, seconds: float) -> float:
        """Reserve the next interval of a rate for one process.

        Args:
            name: The name of the rate.
            seconds: The length of the interval.

        Returns:
            The seconds until it begins.
        """
        with self._database.writing() as connection:
            now = self._lease_time(connection)
            until = connection.scalar(sa.select(rates.c.reserved_until).where(rates.c.name == name))
            begin = until if until is not None and now < until <= now + _LONGEST_QUEUE else now
            end = begin + timedelta(seconds=seconds)
            if until is None:
                connection.execute(rates.insert().values(name=name, reserved_until=end))
            else:
                connection.execute(rates.update().where(rates.c.name == name).values(reserved_until=end))
        return (begin - now).total_seconds()
