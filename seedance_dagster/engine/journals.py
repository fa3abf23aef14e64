"""Journals of orders, whole: from the ledger, and from its archive in S3."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from seedance_dagster.ledger.archive import ArchivePart
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.queries import JournalEntry

if TYPE_CHECKING:  # boto3 takes long to import, and most journals are in the ledger
    from seedance_dagster.storage.s3 import VideoStore

_KEPT_PARTS = 4  # orders are read by number, so parts are needed one after the other


@dataclass(frozen=True)
class ArchivedEntries:
    """Entries of an order's journal that are in the archive.

    Attributes:
        part: Where they are.
        count: Their number.
        problem: Why they could not be read; None where they were.
    """

    part: ArchivePart
    count: int
    problem: str | None


@dataclass(frozen=True)
class OrderJournal:
    """The journal of an order.

    Attributes:
        entries: In order, as far as they could be read.
        archived: The entries that are not in the ledger, by where they are.
    """

    entries: tuple[JournalEntry, ...] = ()
    archived: tuple[ArchivedEntries, ...] = ()

    @property
    def is_whole(self) -> bool:
        """False where some entries could not be read."""
        return all(entries.problem is None for entries in self.archived)


class PartProblem(NamedTuple):
    """The reason why a part cannot be read; `is_lost` where it is missing or its bytes differ."""

    message: str
    is_lost: bool


class JournalReader:
    """A reader of journals; it uses S3 only where some are archived.

    Attributes:
        problems: What is wrong with parts, by key.
    """

    def __init__(self, ledger: Ledger, open_store: Callable[[], VideoStore]) -> None:
        self._ledger, self._open_store = ledger, open_store
        self._read: dict[str, Mapping[int, list[JournalEntry]]] = {}
        self.problems: dict[str, PartProblem] = {}

    @cached_property
    def _store(self) -> VideoStore:
        return self._open_store()

    def read(self, order_ids: Collection[int]) -> dict[int, OrderJournal]:
        """Return the journals of some orders, by order id; raise `LedgerError`."""
        # The ledger first: an entry that is archived meanwhile is then read twice instead of never.
        own = self._ledger.queries.journals(order_ids)
        parts = self._ledger.archive.parts_of(order_ids)
        return {order_id: self._merged(order_id, own, parts) for order_id in order_ids}

    def _merged(
        self,
        order_id: int,
        own: Mapping[int, Sequence[JournalEntry]],
        parts: Mapping[int, Sequence[tuple[ArchivePart, int]]],
    ) -> OrderJournal:
        entries = {entry.entry_id: entry for entry in own.get(order_id, ())}
        archived = []
        for part, count in parts.get(order_id, ()):
            entries |= {entry.entry_id: entry for entry in self._entries(part).get(order_id, ())}
            problem = self.problems.get(part.key)
            archived.append(ArchivedEntries(part, count, None if problem is None else problem.message))
        return OrderJournal(tuple(entries[number] for number in sorted(entries)), tuple(archived))

    def _entries(self, part: ArchivePart) -> Mapping[int, list[JournalEntry]]:
        """Return the entries of a part by order; none where it cannot be read."""
        if part.key in self.problems:
            return {}
        if part.key not in self._read:
            while len(self._read) >= _KEPT_PARTS:
                del self._read[next(iter(self._read))]
            by_order: defaultdict[int, list[JournalEntry]] = defaultdict(list)
            for entry in self._load(part):
                by_order[entry.order_id].append(entry)
            self._read[part.key] = by_order
        return self._read[part.key]

    def _load(self, part: ArchivePart) -> list[JournalEntry]:
        from seedance_dagster.storage.errors import StoreError  # noqa: PLC0415  boto3 is slow to import
        from seedance_dagster.storage.journal_file import JournalFileError, decode  # noqa: PLC0415  with it

        try:
            stored = self._store.read_version(part.key)
            if stored is None:
                self.problems[part.key] = PartProblem("it is missing", is_lost=True)
                return []
            if hashlib.sha256(stored.body).hexdigest() != part.sha256:
                self.problems[part.key] = PartProblem(
                    "its bytes differ from those that were written", is_lost=True
                )
                return []
            return decode(stored.body)
        except (StoreError, JournalFileError) as error:
            self.problems[part.key] = PartProblem(str(error), is_lost=False)
            return []
