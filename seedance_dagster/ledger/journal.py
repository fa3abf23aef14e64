"""The journal's entries by number: how far a ledger has come, and the changes since."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.position import Position
from seedance_dagster.ledger.tables.archive import PartState, archive_parts
from seedance_dagster.ledger.tables.schema import journal, orders

_DIGITS = 12
_NEWEST = sa.select(sa.func.max(journal.c.entry_id))
_NEWEST_ENTRY = sa.select(journal).where(journal.c.entry_id == _NEWEST.scalar_subquery())
_OVERLAP = 200  # on PostgreSQL an entry may be committed after later ones


@dataclass(frozen=True)
class Changes:
    """The states of orders at some moment.

    Attributes:
        up_to: The journal's newest entry then.
        states: The newest states by order id.
    """

    up_to: int
    states: dict[int, State]


class Journal(LedgerPart):
    """The part of the ledger that says how far it has come."""

    def position(self) -> Position | None:
        """Return the position of the newest entry; None for a ledger without orders."""
        with self._database.reading() as connection:
            row = connection.execute(_NEWEST_ENTRY).first()
        return None if row is None else _position(row)

    def contains(self, position: Position) -> bool:
        """Return True where the journal has an entry; False for an older copy, or one that diverged.

        An archived entry counts as well: a ledger is archived only while it has its newest entries.
        """
        number = position.entry_id
        archived = sa.exists().where(
            archive_parts.c.state == PartState.ARCHIVED,
            archive_parts.c.first_entry <= number,
            archive_parts.c.last_entry >= number,
        )
        with self._database.reading() as connection:
            row = connection.execute(sa.select(journal).where(journal.c.entry_id == number)).first()
            if row is None:
                return bool(connection.scalar(sa.select(archived)))
        return _position(row) == position

    def states(self, order_ids: Iterable[int]) -> Changes:
        """Return the states of some orders."""
        states: dict[int, State] = {}
        with self._database.reading() as connection:
            up_to = connection.scalar(_NEWEST) or 0
            for chunk in chunked(order_ids):
                query = sa.select(orders.c.order_id, orders.c.state).where(orders.c.order_id.in_(chunk))
                states.update((order_id, state) for order_id, state in connection.execute(query))
        return Changes(up_to, states)

    def changes(self, since: int) -> Changes:
        """Return the states of all orders that changed since an entry, and of some that did not.

        Entries that were committed long after later ones are missed; only `states` knows them.
        """
        query = sa.select(journal.c.entry_id, journal.c.order_id, journal.c.to_state)
        query = query.where(journal.c.entry_id > since - _OVERLAP).order_by(journal.c.entry_id)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        states = {order_id: State(state) for _, order_id, state in rows}
        return Changes(max(since, rows[-1].entry_id) if rows else since, states)


def _position(row: sa.Row[tuple[object, ...]]) -> Position:
    content = (row.entry_id, row.order_id, row.at.isoformat(), row.actor, row.from_state, row.to_state)
    return Position(row.entry_id, hashlib.sha256(repr(content).encode()).hexdigest()[:_DIGITS])
