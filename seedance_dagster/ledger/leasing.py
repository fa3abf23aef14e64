"""Leases and pauses: who works, and when nobody may.

A worker (a run, a tick, a command) holds one lease under its own name and renews it while it lives.
An order is in a worker's hands while `lease_owner` names a worker whose lease has not run out, so
renewing thousands of orders is one small write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerBase
from seedance_dagster.ledger.schema import facts, leases, orders, pauses

LONGEST_DELAY = timedelta(minutes=20)
"""Nothing is put off for longer: a later due time was written by a clock that ran ahead, and is over."""

_LONGEST_PAUSE = timedelta(minutes=65)  # likewise; a vendor may ask for an hour
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


@dataclass(frozen=True)
class Fact:
    """A number that the vendor told, and when."""

    value: int
    at: datetime


class Leasing(LedgerBase):
    """The part of the ledger that says who works."""

    def hold(self, name: str, owner: str, *, seconds: float) -> bool:
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

    def drop(self, name: str, owner: str) -> None:
        """Give a named lease back, if it is still the owner's."""
        with self._database.writing() as connection:
            connection.execute(leases.delete().where(leases.c.name == name, leases.c.owner == owner))

    def holder(self, name: str) -> str | None:
        """Who holds a named lease now."""
        with self._database.reading() as connection:
            return connection.scalar(
                sa.select(leases.c.owner).where(leases.c.name == name, _in_force(self._clock()))
            )

    def pause(self, kind: str, *, until: datetime, message: str) -> None:
        """Let nobody submit before a time, and say why; of two pauses of a kind the longer one counts."""
        values: dict[str, Any] = {"kind": kind, "until": until, "message": message}
        longer = sa.select(pauses.c.kind).where(
            pauses.c.kind == kind, pauses.c.until.between(until, self._clock() + _LONGEST_PAUSE)
        )
        with self._database.writing() as connection:
            if connection.scalar(longer) is not None:
                return
            connection.execute(pauses.delete().where(pauses.c.kind == kind))
            connection.execute(pauses.insert().values(values))

    def resume(self, kind: str) -> None:
        """End a pause early."""
        with self._database.reading() as connection:
            # Looked first without the writer's lock: this is asked at every tick.
            if connection.scalar(sa.select(pauses.c.kind).where(pauses.c.kind == kind)) is None:
                return
        with self._database.writing() as connection:
            connection.execute(pauses.delete().where(pauses.c.kind == kind))

    def learn(self, told: Mapping[str, int]) -> None:
        """Remember numbers that the vendor told together, such as the plan's limit, for all processes."""
        now = self._clock()
        with self._database.writing() as connection:
            connection.execute(facts.delete().where(facts.c.name.in_(told)))
            for name, value in told.items():
                connection.execute(facts.insert().values(name=name, value=value, learned_at=now))

    def learned(self, *names: str) -> dict[str, Fact]:
        """What the vendor told, by name; without what it never did."""
        query = sa.select(facts.c.name, facts.c.value, facts.c.learned_at).where(facts.c.name.in_(names))
        with self._database.reading() as connection:
            return {name: Fact(value, at) for name, value, at in connection.execute(query)}

    def paused(self) -> dict[str, str]:
        """Why nobody may submit now: a message by kind; empty when submitting may go on."""
        now = self._clock()
        query = sa.select(pauses.c.kind, pauses.c.message).where(
            pauses.c.until > now, pauses.c.until <= now + _LONGEST_PAUSE
        )
        with self._database.reading() as connection:
            return {row.kind: row.message for row in connection.execute(query.order_by(pauses.c.kind))}
