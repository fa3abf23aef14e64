"""Leases and pauses: who works, and when nobody may.

A worker (a run, a tick, a command) holds one lease under its own name and renews it while it lives.
An order is in a worker's hands while `lease_owner` names a worker whose lease has not run out, so
renewing thousands of orders is one small write.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerBase
from seedance_dagster.ledger.schema import facts, leases, orders, pauses


def unleased(now: datetime) -> sa.ColumnElement[bool]:
    """True for orders that are in no living worker's hands."""
    alive = sa.exists().where(leases.c.name == orders.c.lease_owner, leases.c.until > now)
    return sa.or_(orders.c.lease_owner.is_(None), ~alive)


class Leasing(LedgerBase):
    """The part of the ledger that says who works."""

    def hold(self, name: str, owner: str, *, seconds: float) -> bool:
        """Take or renew a named lease; False while somebody else holds it."""
        now = self._clock()
        until = now + timedelta(seconds=seconds)
        with self._database.writing() as connection:
            held = connection.execute(sa.select(leases).where(leases.c.name == name)).one_or_none()
            if held is None:
                connection.execute(leases.insert().values(name=name, owner=owner, until=until))
                return True
            if held.owner != owner and held.until > now:
                return False
            connection.execute(leases.update().where(leases.c.name == name).values(owner=owner, until=until))
            return True

    def drop(self, name: str, owner: str) -> None:
        """Give a named lease back, if it is still the owner's."""
        with self._database.writing() as connection:
            connection.execute(leases.delete().where(leases.c.name == name, leases.c.owner == owner))

    def holder(self, name: str) -> str | None:
        """Who holds a named lease now."""
        with self._database.reading() as connection:
            return connection.scalar(
                sa.select(leases.c.owner).where(leases.c.name == name, leases.c.until > self._clock())
            )

    def pause(self, kind: str, *, until: datetime, message: str) -> None:
        """Let nobody submit before a time, and say why; a later pause of the same kind replaces it."""
        values: dict[str, Any] = {"kind": kind, "until": until, "message": message}
        with self._database.writing() as connection:
            connection.execute(pauses.delete().where(pauses.c.kind == kind))
            connection.execute(pauses.insert().values(values))

    def resume(self, kind: str) -> None:
        """End a pause early."""
        with self._database.writing() as connection:
            connection.execute(pauses.delete().where(pauses.c.kind == kind))

    def learn(self, name: str, value: int) -> None:
        """Remember a number that the vendor told, such as the plan's limit, for all processes."""
        values = {"value": value, "learned_at": self._clock()}
        with self._database.writing() as connection:
            changed = connection.execute(facts.update().where(facts.c.name == name).values(values))
            if not changed.rowcount:
                connection.execute(facts.insert().values(name=name, **values))

    def learned(self, name: str) -> int | None:
        """A number that the vendor told; None when it never did."""
        with self._database.reading() as connection:
            return connection.scalar(sa.select(facts.c.value).where(facts.c.name == name))

    def paused(self) -> list[str]:
        """Why nobody may submit now, in words; empty when submitting may go on."""
        with self._database.reading() as connection:
            return list(
                connection.scalars(
                    sa.select(pauses.c.message).where(pauses.c.until > self._clock()).order_by(pauses.c.kind)
                )
            )
