"""Leases and pauses: who works, and when nobody may.

A worker (a run, a tick, a command) holds one lease under its own name and renews it while it lives.
An order is in a worker's hands while `lease_owner` names a worker whose lease has not run out, so
renewing thousands of orders is one small write.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.schema import leases, orders

LONGEST_DELAY = timedelta(minutes=20)
"""Nothing is put off for longer: a later due time was written by a clock that ran ahead, and is over."""

_CLOCKS_APART = timedelta(minutes=5)  # between machines that share a ledger


def is_due(now: datetime) -> sa.ColumnElement[bool]:
    """True for orders whose time has come."""
    return sa.or_(orders.c.due_at <= now, orders.c.due_at > now + LONGEST_DELAY)


def unleased(now: datetime) -> sa.ColumnElement[bool]:
    """True for orders that are in no living worker's hands."""
    alive = sa.exists().where(leases.c.name == orders.c.lease_owner, _in_force(now))
    return sa.or_(orders.c.lease_owner.is_(None), ~alive)


def _in_force(now: datetime) -> sa.ColumnElement[bool]:
    """True for leases that hold; one that begins later was written by a clock that ran ahead."""
    begun = sa.or_(leases.c.since.is_(None), leases.c.since <= now + _CLOCKS_APART)
    return sa.and_(leases.c.until > now, begun)


class Leases(LedgerPart):
    """The part of the ledger that says who works."""

    def acquire(self, name: str, owner: str, *, seconds: float) -> bool:
        """Take or renew a named lease; False while somebody else holds it."""
        now = self._clock()
        until = now + timedelta(seconds=seconds)
        with self._database.writing() as connection:
            holder = connection.scalar(sa.select(leases.c.owner).where(leases.c.name == name, _in_force(now)))
            if holder not in (None, owner):
                return False
            connection.execute(leases.delete().where(leases.c.name == name))
            connection.execute(leases.insert().values(name=name, owner=owner, since=now, until=until))
            return True

    def release(self, name: str, owner: str) -> None:
        """Give a named lease back, if it is still the owner's."""
        with self._database.writing() as connection:
            connection.execute(leases.delete().where(leases.c.name == name, leases.c.owner == owner))

    def owner_of(self, name: str) -> str | None:
        """Who holds a named lease now."""
        with self._database.reading() as connection:
            return connection.scalar(
                sa.select(leases.c.owner).where(leases.c.name == name, _in_force(self._clock()))
            )
