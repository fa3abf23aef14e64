"""The newest entry of the journal, which tells a ledger and its older copies apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.schema import journal

_DIGITS = 12


@dataclass(frozen=True, order=True)
class Position:
    """One entry of a ledger's journal, as a mark of how far it has come.

    Attributes:
        entry_id: The entry's number; later entries have higher ones.
        digest: A hash of its content. A restored copy gives lost numbers out again, to other entries.
    """

    entry_id: int
    digest: str


class Journal(LedgerPart):
    """The part of the ledger that says how far it has come."""

    def position(self) -> Position | None:
        """Return the position of the newest entry; None for a ledger without orders."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(journal).order_by(journal.c.entry_id.desc()).limit(1)).first()
        return None if row is None else _position(row)

    def contains(self, position: Position) -> bool:
        """Return False for a copy that was made before an entry was written, or that went another way."""
        with self._database.reading() as connection:
            row = connection.execute(
                sa.select(journal).where(journal.c.entry_id == position.entry_id)
            ).first()
        return row is not None and _position(row) == position


def _position(row: sa.Row[tuple[object, ...]]) -> Position:
    content = (row.entry_id, row.order_id, row.at.isoformat(), row.actor, row.from_state, row.to_state)
    return Position(row.entry_id, hashlib.sha256(repr(content).encode()).hexdigest()[:_DIGITS])
