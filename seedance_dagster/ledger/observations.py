"""Observations: numbers that the vendor reported, shared by all processes of a ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.tables.schema import observations

# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_BY_NAME = sa.select(observations.c.name, observations.c.value, observations.c.observed_at).where(
    observations.c.name.in_(sa.bindparam("names", expanding=True))
)


@dataclass(frozen=True)
class Observation:
    """A number that the vendor reported, and when."""

    value: int
    at: datetime


class Observations(LedgerPart):
    """The newest observation under each name."""

    def remember(self, values: Mapping[str, int]) -> None:
        """Remember numbers that the vendor reported together, such as the plan's limit."""
        now = self._clock()
        with self._database.writing() as connection:
            connection.execute(observations.delete().where(observations.c.name.in_(values)))
            rows = [{"name": name, "value": value, "observed_at": now} for name, value in values.items()]
            if rows:
                connection.execute(observations.insert(), rows)

    def recall(self, *names: str) -> dict[str, Observation]:
        """Return the observations under some names, without those that were never made."""
        with self._database.reading() as connection:
            return {
                name: Observation(value, at)
                for name, value, at in connection.execute(_BY_NAME, {"names": names})
            }
