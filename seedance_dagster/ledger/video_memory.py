"""The common base of the ledger's records of checked and of scored videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked


class VideoMemory(LedgerPart):
    """A part of the ledger with a row for each video that was checked or scored.

    Its table has the columns `prompt_set`, `partition` and `problems`: reasons by the names of checks; NULL
    where nothing is wrong.
    """

    _table: ClassVar[sa.Table]

    def count(self, prompt_set: str) -> int:
        """Return how many videos of a set have a row."""
        query = sa.select(sa.func.count()).where(self._table.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return connection.scalar(query) or 0

    def keys(self, prompt_set: str) -> set[str]:
        """Return the partitions whose videos have a row."""
        query = sa.select(self._table.c.partition).where(self._table.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def problems(self, prompt_set: str) -> dict[str, Mapping[str, str]]:
        """Return the problems of a set's videos, by partition and by the names of checks."""
        table = self._table
        query = sa.select(table.c.partition, table.c.problems).where(
            table.c.prompt_set == prompt_set, table.c.problems.is_not(None)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(table.c.partition))
            return {row.partition: row.problems for row in rows}

    def _replace(
        self, connection: sa.Connection, prompt_set: str, videos: Mapping[str, NamedTuple | None]
    ) -> None:
        """Write the rows of some partitions; None for one that no longer shows a video."""
        table = self._table
        for keys in chunked(videos):
            of_set = (table.c.prompt_set == prompt_set, table.c.partition.in_(keys))
            connection.execute(table.delete().where(*of_set))
        rows = [
            {"prompt_set": prompt_set, "partition": key, **columns._asdict()}
            for key, columns in videos.items()
            if columns is not None
        ]
        for chunk in chunked(rows):
            connection.execute(table.insert(), chunk)
