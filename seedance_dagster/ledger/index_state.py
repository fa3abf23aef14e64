"""The state of each set's index in S3: the version last written, and the part that holds each row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.changes import (
    Changes,
    View,
    changes_of,
    forget_changes,
    has_changes,
    sets_with_changes,
)
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.tables.views import index_rows, indexes


class RowPlace(NamedTuple):
    """A partition's row in an index.

    Attributes:
        part: The number of the part that holds it.
        digest: A hash of its content.
    """

    part: int
    digest: str


class IndexState(NamedTuple):
    """An index as it was last written.

    Attributes:
        place: A hash of its location and its columns.
        manifest_sha256: The SHA-256 of its manifest; None while it is being written, and after a writer was
            killed.
    """

    place: str
    manifest_sha256: str | None


class Indexes(LedgerPart):
    """The part of the ledger that knows whether each set's index is up to date."""

    def due_sets(self, place: Callable[[str], str]) -> set[str]:
        """Return the sets whose index must be written; `place` returns the place of a set's index."""
        with self._database.reading() as connection:
            due = sets_with_changes(connection, View.INDEX)
            for row in connection.execute(sa.select(indexes)):
                if row.manifest_sha256 is None or row.place != place(row.prompt_set):
                    due.add(row.prompt_set)
        return due

    def is_due(self, prompt_set: str, place: str) -> bool:
        """Return True where a set's index must be written."""
        state = self.state(prompt_set)
        if state is None or state.place != place or state.manifest_sha256 is None:
            return True
        with self._database.reading() as connection:
            return has_changes(connection, View.INDEX, prompt_set)

    def state(self, prompt_set: str) -> IndexState | None:
        """Return a set's index as it was last written; None if it never was."""
        query = sa.select(indexes.c.place, indexes.c.manifest_sha256).where(
            indexes.c.prompt_set == prompt_set
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else IndexState(*row)

    def changes(self, prompt_set: str) -> Changes:
        """Return the changes of a set since its index was written."""
        with self._database.reading() as connection:
            return changes_of(connection, View.INDEX, prompt_set)

    def rows(self, prompt_set: str, keys: Collection[str] | None = None) -> dict[str, RowPlace]:
        """Return the rows of a set's index, or those of some partitions, by partition."""
        query = sa.select(index_rows.c.partition, index_rows.c.part, index_rows.c.digest).where(
            index_rows.c.prompt_set == prompt_set
        )
        queries = (
            [query]
            if keys is None
            else [query.where(index_rows.c.partition.in_(chunk)) for chunk in chunked(keys)]
        )
        with self._database.reading() as connection:
            return {
                partition: RowPlace(part, digest)
                for select in queries
                for partition, part, digest in connection.execute(select)
            }

    def begin(self, prompt_set: str, place: str, writer: str) -> None:
        """Note that a writer begins to change an index, whose content is unknown until it finishes."""
        values = {"place": place, "manifest_sha256": None, "writer": writer}
        with self._database.writing() as connection:
            of_set = indexes.c.prompt_set == prompt_set
            if not connection.execute(indexes.update().where(of_set).values(values)).rowcount:
                connection.execute(indexes.insert().values(prompt_set=prompt_set, **values))

    def finish(
        self,
        prompt_set: str,
        writer: str,
        manifest_sha256: str,
        rows: Mapping[str, RowPlace | None],
        changes: Changes,
    ) -> bool:
        """Record the result of a writer, unless another one began meanwhile.

        Args:
            writer: As given to `begin`.
            manifest_sha256: The SHA-256 of the manifest.
            rows: The rows that are new or changed; None for those that are gone.
            changes: The changes that the index has now.

        Returns:
            False if another writer began: nothing is recorded, and the index must be compared with the
            ledger.
        """
        mine = (indexes.c.prompt_set == prompt_set, indexes.c.writer == writer)
        with self._database.writing() as connection:
            finished = indexes.update().where(*mine).values(manifest_sha256=manifest_sha256)
            if not connection.execute(finished).rowcount:
                connection.execute(
                    indexes.update().where(indexes.c.prompt_set == prompt_set).values(manifest_sha256=None)
                )
                return False
            for chunk in chunked(rows):
                connection.execute(
                    index_rows.delete().where(
                        index_rows.c.prompt_set == prompt_set, index_rows.c.partition.in_(chunk)
                    )
                )
            written = [
                {"prompt_set": prompt_set, "partition": key, "part": row.part, "digest": row.digest}
                for key, row in rows.items()
                if row is not None
            ]
            for batch in chunked(written):
                connection.execute(index_rows.insert(), batch)
            forget_changes(connection, changes.ids)
            return True

    def forget(self, changes: Changes) -> None:
        """Delete the notes of changes that made no difference to the index."""
        with self._database.writing() as connection:
            forget_changes(connection, changes.ids)
