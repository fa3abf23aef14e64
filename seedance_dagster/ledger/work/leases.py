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


DUE_IN_TIME = orders.c.due_at <= sa.bindparam("now")
DUE_AHEAD_OF_TIME = orders.c.due_at > sa.bindparam("longest_delay")
IS_DUE = sa.or_(DUE_IN_TIME, DUE_AHEAD_OF_TIME)
"""Selects orders that are due at `due_times`."""

IS_DUE_IN_QUEUE = sa.case((IS_DUE, 1), else_=0) == 1
"""Selects as `IS_DUE`, without an index of due times: the queue has a covering index of its own."""


def due_times(now: datetime) -> dict[str, datetime]:
    """Return the parameters of `IS_DUE`."""
    return {"now": now, "longest_delay": now + LONGEST_DELAY}


def _in_force(since: sa.ColumnElement[datetime], until: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    """Select valid leases; one that begins much later was written by a clock that ran ahead."""
    return sa.and_(until > sa.bindparam("lease_time"), since <= sa.bindparam("longest_skew"))


UNLEASED = sa.or_(orders.c.leased_until.is_(None), ~_in_force(orders.c.leased_at, orders.c.leased_until))
"""Selects orders that no living worker holds at `lease_times`."""


def lease_times(lease_time: datetime) -> dict[str, datetime]:
    """Return the parameters of `UNLEASED`."""
    return {"lease_time": lease_time, "longest_skew": lease_time + _MAX_CLOCK_SKEW}


# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_HELD = sa.select(orders.c.order_id).where(
    orders.c.order_id == sa.bindparam("of_order_id"),
    orders.c.state == sa.bindparam("of_state"),
    orders.c.lease_owner == sa.bindparam("of_owner"),
    orders.c.claimed_at.is_not_distinct_from(sa.bindparam("of_claim")),
    orders.c.leased_until > sa.bindparam("until"),
)
_OWNERS = sa.select(leases.c.owner).where(
    leases.c.name.in_(sa.bindparam("names", expanding=True)), _in_force(leases.c.since, leases.c.until)
)


def lease(owner: str, now: datetime, seconds: float) -> dict[str, Any]:
    """Return the columns of an order that is leased to a worker."""
    return {"lease_owner": owner, "leased_at": now, "leased_until": now + timedelta(seconds=seconds)}


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
            condition = {
                "of_order_id": order.order_id,
                "of_state": order.state,
                "of_owner": order.lease_owner,
                "of_claim": order.claimed_at,
                "until": until,
            }
            return connection.scalar(_HELD, condition) is not None

    def acquire(self, name: str, owner: str, *, seconds: float) -> bool:
        """Take or renew a named lease; return False while another owner holds it."""
        with self._database.writing() as connection:
            now = self._lease_time(connection)
            if not _owners_of(connection, [name], now) <= {owner}:
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
            return _owners_of(connection, names, self._lease_time(connection))


def _owners_of(connection: sa.Connection, names: Collection[str], now: datetime) -> set[str]:
    return set(connection.scalars(_OWNERS, {"names": list(names), **lease_times(now)}))
