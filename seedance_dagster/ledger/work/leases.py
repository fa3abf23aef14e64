"""Leases: the right of a worker to work on an order.

An order is a worker's while `lease_owner` names the worker and the lease has not run out. A worker (a run, a
tick, a command) renews the leases of the orders that it has in hand, and of no others.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.tables.schema import leases, orders

LEASE_S = 60.0
"""Seconds for which a killed worker still holds its orders, unless a policy says otherwise."""

LONGEST_DELAY = timedelta(minutes=20)
"""Nothing is postponed for longer: a later due time was written by a clock that ran ahead, and is due."""

_MAX_CLOCK_SKEW = timedelta(minutes=5)  # between machines that share a ledger


def is_due(now: datetime) -> sa.ColumnElement[bool]:
    """Select orders that are due."""
    return sa.or_(orders.c.due_at <= now, orders.c.due_at > now + LONGEST_DELAY)


def is_due_in_queue(now: datetime) -> sa.ColumnElement[bool]:
    """Select as `is_due`, without an index of due times: the queue has a covering index of its own."""
    return sa.case((is_due(now), 1), else_=0) == 1


def unleased(now: datetime) -> sa.ColumnElement[bool]:
    """Select orders that no living worker holds."""
    in_force = _in_force(orders.c.leased_at, orders.c.leased_until, now)
    return sa.or_(orders.c.leased_until.is_(None), ~in_force)


def lease(owner: str, now: datetime, seconds: float) -> dict[str, Any]:
    """Return the columns of an order that is leased to a worker."""
    return {"lease_owner": owner, "leased_at": now, "leased_until": now + timedelta(seconds=seconds)}


def _in_force(
    since: sa.ColumnElement[datetime], until: sa.ColumnElement[datetime], now: datetime
) -> sa.ColumnElement[bool]:
    """Select valid leases; one that begins much later was written by a clock that ran ahead."""
    return sa.and_(until > now, since <= now + _MAX_CLOCK_SKEW)


class Leases(LedgerPart):
    """The part of the ledger that knows which worker has which orders."""

    def renew(self, owner: str, order_ids: Collection[int], *, seconds: float) -> None:
        """Renew a worker's leases of some orders; those that are no longer its own stay as they are."""
        if not order_ids:
            return
        with self._database.updating() as connection:
            connection.execute(
                orders.update()
                .where(orders.c.order_id.in_(order_ids), orders.c.lease_owner == owner)
                .values(lease(owner, self._lease_time(connection), seconds))
            )

    def holds(self, order: Order, *, margin_s: float = 0.0) -> bool:
        """Return True while an order is unchanged and its worker's lease lasts for some more seconds."""
        with self._database.reading() as connection:
            until = self._lease_time(connection) + timedelta(seconds=margin_s)
            query = sa.select(orders.c.order_id).where(
                orders.c.order_id == order.order_id,
                orders.c.state == order.state,
                orders.c.lease_owner == order.lease_owner,
                orders.c.claimed_at.is_not_distinct_from(order.claimed_at),
                orders.c.leased_until > until,
            )
            return connection.scalar(query) is not None

    def acquire(self, name: str, owner: str, *, seconds: float) -> bool:
        """Take or renew a named lease; return False while another owner holds it."""
        with self._database.writing() as connection:
            now = self._lease_time(connection)
            if self._owner_of(connection, name, now) not in (None, owner):
                return False
            until = now + timedelta(seconds=seconds)
            connection.execute(leases.delete().where(leases.c.name == name))
            connection.execute(leases.insert().values(name=name, owner=owner, since=now, until=until))
            return True

    def release(self, name: str, owner: str) -> None:
        """Release a named lease, if it is still the owner's."""
        with self._database.writing() as connection:
            connection.execute(leases.delete().where(leases.c.name == name, leases.c.owner == owner))

    def owner_of(self, name: str) -> str | None:
        """Return the owner of a named lease; None when it is free."""
        return next(iter(self.owners_of([name])), None)

    def owners_of(self, names: Collection[str]) -> set[str]:
        """Return the owners of named leases, without those that are free."""
        with self._database.reading() as connection:
            in_force = _in_force(leases.c.since, leases.c.until, self._lease_time(connection))
            query = sa.select(leases.c.owner).where(leases.c.name.in_(names), in_force)
            return set(connection.scalars(query))

    @staticmethod
    def _owner_of(connection: sa.Connection, name: str, now: datetime) -> str | None:
        in_force = _in_force(leases.c.since, leases.c.until, now)
        owner: str | None = connection.scalar(
            sa.select(leases.c.owner).where(leases.c.name == name, in_force)
        )
        return owner
