"""The archive of the journal: the entries that may leave the ledger, and the parts that hold the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import ENDED, State
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.ledger.reports import is_overdue, report_times
from seedance_dagster.ledger.restoration import of_others
from seedance_dagster.ledger.tables.archive import PartState, archive_parts, archived_journals
from seedance_dagster.ledger.tables.columns import Unindexed
from seedance_dagster.ledger.tables.schema import journal, links, orders

_OVER = ENDED | {State.STORED}


class Archivable(NamedTuple):
    """Orders that may be archived, their entries, and the times of the first and the last of these (UTC)."""

    orders: int
    entries: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True)
class ArchivePart:
    """A file of the archive.

    Attributes:
        part_id: Its number; None before the ledger knows it.
        key: Its key in S3.
        sha256: The SHA-256 of its bytes, in hex.
        entries: The number of its entries.
        first_entry: The lowest number of an entry.
        last_entry: The highest one.
    """

    part_id: int | None
    key: str
    sha256: str
    size_bytes: int
    entries: int
    first_entry: int
    last_entry: int


class Archive(LedgerPart):
    """The part of the ledger that knows the archive of the journal."""

    def archivable(self, before: datetime) -> Archivable:
        """Count the orders that may be archived: all of their entries were written before a time (UTC)."""
        chosen = self._chosen(before).subquery()
        totals = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(chosen.c.entries), 0),
            sa.func.min(chosen.c.first_at),
            sa.func.max(chosen.c.last_at),
        ).select_from(chosen)
        with self._database.reading() as connection:
            count, entries, first_at, last_at = connection.execute(totals).one()
        return Archivable(count, int(entries), first_at, last_at)

    def next_entries(self, before: datetime, *, behind: int, limit: int) -> list[JournalEntry]:
        """Return the journals of the next orders that may be archived, in the order of their entries.

        Args:
            before: As for `archivable`.
            behind: The order after which to begin.
            limit: The most orders.
        """
        chosen = self._chosen(before).where(journal.c.order_id > behind).limit(limit)
        columns = [journal.c[name] for name in JournalEntry.__dataclass_fields__]
        entries: list[JournalEntry] = []
        with self._database.reading() as connection:
            for chunk in chunked(row.order_id for row in connection.execute(chosen).all()):
                query = sa.select(*columns).where(journal.c.order_id.in_(chunk))
                entries += (JournalEntry(*row) for row in connection.execute(query))
        return sorted(entries, key=lambda entry: entry.entry_id)

    def begin(self, part: ArchivePart) -> int:
        """Note that a part is about to be written, and return its number."""
        values = {**vars(part), "state": PartState.WRITING, "written_at": self._clock()}
        del values["part_id"]
        insert = archive_parts.insert().values(values).returning(archive_parts.c.part_id)
        with self._database.writing() as connection:
            return int(connection.execute(insert).scalar_one())

    def finish(self, part_id: int, entries: Sequence[JournalEntry], before: datetime) -> None:
        """Delete the entries that a part holds, after it was written and read back.

        Raises:
            StaleOrderError: The part was discarded, or an order changed meanwhile; nothing was deleted.
        """
        counts = Counter(entry.order_id for entry in entries)
        written = archive_parts.update().where(*_is_writing(part_id)).values(state=PartState.ARCHIVED)
        with self._database.writing() as connection:
            if not connection.execute(written).rowcount:
                raise StaleOrderError("the part was discarded by another process")
            deleted = 0
            for ids in chunked(counts):
                chosen = self._chosen(before).where(journal.c.order_id.in_(ids))
                current = {row.order_id: row.entries for row in connection.execute(chosen)}
                if current != {order_id: counts[order_id] for order_id in ids}:
                    raise StaleOrderError("an order changed while its journal was archived")
            for numbers in chunked(entry.entry_id for entry in entries):
                deletion = journal.delete().where(journal.c.entry_id.in_(numbers))
                deleted += connection.execute(deletion).rowcount
            if deleted != len(entries):
                raise StaleOrderError("the journal changed while it was archived")
            rows = [
                {"order_id": order_id, "part_id": part_id, "entries": count}
                for order_id, count in counts.items()
            ]
            connection.execute(archived_journals.insert(), rows)

    def discard(self, part_id: int) -> None:
        """Mark a part as discarded, so that its object is deleted, unless it is archived."""
        with self._database.writing() as connection:
            connection.execute(
                archive_parts.update().where(*_is_writing(part_id)).values(state=PartState.DISCARDED)
            )

    def forget(self, part_id: int) -> None:
        """Delete the row of a discarded part whose object is gone."""
        is_discarded = archive_parts.c.state == PartState.DISCARDED
        with self._database.writing() as connection:
            connection.execute(archive_parts.delete().where(archive_parts.c.part_id == part_id, is_discarded))

    def unfinished(self) -> list[ArchivePart]:
        """Return the parts that are being written, or whose writer was interrupted."""
        return self._parts(archive_parts.c.state != PartState.ARCHIVED)

    def parts(self) -> list[ArchivePart]:
        """Return all parts that hold entries of the journal, the oldest first."""
        return self._parts(archive_parts.c.state == PartState.ARCHIVED)

    def parts_of(self, order_ids: Iterable[int]) -> dict[int, list[tuple[ArchivePart, int]]]:
        """Return the parts that hold entries of some orders, with the number of entries, by order id."""
        columns = (*archived_journals.c, *archive_parts.c)
        joined = archived_journals.c.part_id == archive_parts.c.part_id
        query = sa.select(*columns).join_from(archived_journals, archive_parts, joined)
        parts: defaultdict[int, list[tuple[ArchivePart, int]]] = defaultdict(list)
        with self._database.reading() as connection:
            for chunk in chunked(order_ids):
                chosen = query.where(archived_journals.c.order_id.in_(chunk))
                for order_id, _, count, *values in connection.execute(chosen.order_by(joined.left)):
                    parts[order_id].append((_part(values), count))
        return dict(parts)

    def _parts(self, condition: sa.ColumnElement[bool]) -> list[ArchivePart]:
        query = sa.select(*archive_parts.c).where(condition).order_by(archive_parts.c.part_id)
        with self._database.reading() as connection:
            return [_part(row) for row in connection.execute(query)]

    def _chosen(self, before: datetime) -> sa.Select[Any]:
        """Select the orders whose journal may be archived, by number, with counts and times of its entries.

        They are over and reported, and have no later entries. The newest entries stay: they say how far a
        ledger has come, and the numbers of later entries follow theirs.
        """
        pending = sa.exists().where(links.c.order_id == orders.c.order_id, is_overdue())
        newest = sa.select(journal.c.order_id).order_by(journal.c.entry_id.desc()).limit(1)
        kept = (newest.scalar_subquery(), newest.where(of_others()).scalar_subquery())
        return (
            sa.select(
                journal.c.order_id,
                sa.func.count().label("entries"),
                sa.func.min(journal.c.at).label("first_at"),
                sa.func.max(journal.c.at).label("last_at"),
            )
            .join(orders, orders.c.order_id == journal.c.order_id)
            .where(
                Unindexed(orders.c.state).in_(_OVER),  # so that orders are walked by their numbers
                ~pending.correlate(orders),
                *(journal.c.order_id.is_distinct_from(order_id) for order_id in kept),
            )
            .group_by(journal.c.order_id)
            .having(sa.func.max(journal.c.at) < before)
            .order_by(journal.c.order_id)
            .params(report_times(self._clock()))
        )


def _is_writing(part_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return archive_parts.c.part_id == part_id, archive_parts.c.state == PartState.WRITING


def _part(values: Sequence[Any]) -> ArchivePart:
    return ArchivePart(*values[: len(ArchivePart.__dataclass_fields__)])
