"""The videos of a set that were scored, and the results last reported of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from seedance_dagster.ledger.changes import (
    Changes,
    View,
    changes_of,
    forget_changes,
    forget_sets,
    newest_changes,
    note_unscored,
)
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.tables.scores import scored_sets, scored_videos
from seedance_dagster.ledger.video_memory import VideoMemory
from seedance_dagster.ledger.videos import has_video


class Scored(NamedTuple):
    """A video of a set that was scored.

    Attributes:
        digest: A hash of the bytes and results that were reported to Dagster.
        problems: Reasons by the names of checks; None where nothing is wrong.
    """

    digest: str
    problems: Mapping[str, str] | None


class ScoredVideos(VideoMemory):
    """The part of the ledger that knows which videos were scored and need no second scoring."""

    _table = scored_videos

    def due_sets(self, plans: Mapping[str, str]) -> dict[str, int]:
        """Return the sets that have videos to score, sorted, each with the number of its newest change.

        Args:
            plans: Hashes of the plans by which sets are scored, by set.
        """
        with self._database.reading() as connection:
            changed = newest_changes(connection, View.SCORES)
            rows = connection.execute(sa.select(scored_sets.c.prompt_set, scored_sets.c.plan))
            known = {row.prompt_set: row.plan for row in rows}
            return {
                name: changed.get(name, 0)
                for name, plan in sorted(plans.items())
                if name in changed or (known.get(name) != plan and has_video(connection, name))
            }

    def changes(self, prompt_set: str, plan: str) -> tuple[Changes, bool]:
        """Return a set's changes since it was scored, and True if all of it was scored by the same plan."""
        query = sa.select(scored_sets.c.plan).where(scored_sets.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return changes_of(connection, View.SCORES, prompt_set), connection.scalar(query) == plan

    def finish(self, prompt_set: str, plan: str, changes: Changes, *, unread: Collection[str] = ()) -> None:
        """Note that a set was scored by a plan, with these changes; videos in `unread` stay due."""
        of_set = scored_sets.c.prompt_set == prompt_set
        with self._database.writing() as connection:
            connection.execute(scored_sets.delete().where(of_set))
            connection.execute(scored_sets.insert().values(prompt_set=prompt_set, plan=plan))
            forget_changes(connection, changes.ids, keep=unread)
            note_unscored(connection, prompt_set, set(unread) - changes.partitions)

    def forget(self, prompt_sets: Collection[str]) -> None:
        """Forget the changes of sets without scores; if they get scores again, all their videos are due."""
        with self._database.reading() as connection:
            known = set(connection.scalars(sa.select(scored_sets.c.prompt_set)))
            gone = (newest_changes(connection, View.SCORES).keys() | known).intersection(prompt_sets)
        if not gone:
            return
        with self._database.writing() as connection:
            forget_sets(connection, View.SCORES, gone)
            for chunk in chunked(gone):
                for table in (scored_sets, scored_videos):
                    connection.execute(table.delete().where(table.c.prompt_set.in_(chunk)))

    def reported(self, prompt_set: str, partitions: Iterable[str]) -> dict[str, Scored]:
        """Return the results last reported of some partitions' videos."""
        by_partition: dict[str, Scored] = {}
        with self._database.reading() as connection:
            for chunk in chunked(partitions):
                query = sa.select(scored_videos).where(
                    scored_videos.c.prompt_set == prompt_set, scored_videos.c.partition.in_(chunk)
                )
                for row in connection.execute(query):
                    by_partition[row.partition] = Scored(row.digest, row.problems)
        return by_partition

    def mark_reported(self, prompt_set: str, videos: Mapping[str, Scored | None]) -> None:
        """Remember the results reported of videos; None for a partition that no longer shows one."""
        with self._database.writing() as connection:
            self._replace(connection, prompt_set, videos)
