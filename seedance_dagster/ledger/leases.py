"""Leases: which worker works on what.

A worker (a run, a tick, a command) holds one lease under its own name and renews it while it lives.
An order is a worker's while `lease_owner` names the worker and its lease has not run out, so renewing
thousands of orders is one small write.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.schema import leases, orders

LONGEST_DELAY = timedelta(minutes=20)
"""Nothing is postponed for longer: a later due time was written by a clock that ran ahead, and is over."""

_MAX_CLOCK_SKEW = timedelta(minutes=5)  # between machines that share a ledger


def is_due(now: datetime) -> sa.ColumnElement[bool]:
    """Select orders whose time has come."""
    return sa.or_(orders.c.due_at <= now, orders.c.due_at > now + LONGEST_DELAY)


def unleased(now: datetime) -> sa.ColumnElement[bool]:
    """Select orders that no living worker holds."""
    alive = sa.exists().where(leases.c.name == orders.c.lease_owner, _in_force(now))
    return sa.or_(orders.c.lease_owner.is_(None), ~alive)


def _in_force(now: datetime) -> sa.ColumnElement[bool]:
    """Select leases that hold; one that begins later was written by a clock that ran ahead."""
    return sa.and_(leases.c.until > now, leases.c.since <= now + _MAX_CLOCK_SKEW)


class Leases(LedgerPart):
    """The part of the ledger that knows which worker works on what."""

    def acquire(self, name: str, owner: str, *, seconds: float) -> bool:
        """Take or renew a named lease; return False while another owner holds it."""
        now = self._clock()
        until = now + timedelta(seconds=seconds)
        with self._database.writing() as connection:
            current = connection.scalar(
                sa.select(leases.c.owner).where(leases.c.name == name, _in_force(now))
            )
            if current not in (None, owner):
                return False
            connection.execute(leases.delete().where(leases.c.name == name))
            connection.execute(leases.insert().values(name=name, owner=owner, since=now, until=until))
            return True

    def release(self, name: str, owner: str) -> None:
        """Release a named lease, if it is still the owner's."""
        with self._database.writing() as connection:
            connection.execute(leases.delete().where(leases.c.name == name, leases.c.owner == owner))

    def owner_of(self, name: str) -> str | None:
        """Return the owner of a named lease; None when it is free."""
        with self._database.reading() as connection:
            return connection.scalar(
                sa.select(leases.c.owner).where(leases.c.name == name, _in_force(self._clock()))
            )
