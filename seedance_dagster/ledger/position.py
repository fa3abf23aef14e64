"""A place in a ledger's journal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Position:
    """One entry of a ledger's journal: how far the ledger has come.

    Attributes:
        entry_id: The entry's number; later entries have higher ones.
        digest: A hash of its content. A restored copy assigns lost numbers again, to other entries.
    """

    entry_id: int
    digest: str
