"""A worker's own memory of how far the ledger had come."""

from __future__ import annotations

from seedance_dagster.ledger.errors import LedgerBehindError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.position import Position


class SeenProgress:
    """The newest entry of a ledger's journal that a worker saw.

    A database may be replaced by an older copy of itself between two statements, as by a failover that loses
    the last commits. In such a copy an order that this worker has sent waits to be sent.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._newest: Position | None = None

    def look(self) -> None:
        """Note how far the ledger has come.

        Raises:
            LedgerBehindError: An entry that was seen before is lost.
            LedgerUnavailableError: The ledger cannot be read.
        """
        journal, seen = self._ledger.journal, self._newest
        if seen is not None and not journal.contains(seen):
            raise LedgerBehindError(self._ledger.label, seen)
        newest = journal.position()
        # Looks overlap, each in a thread of its own.
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest = newest
