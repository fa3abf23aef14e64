"""The ledger's memory of which videos of a set were scored, and what was reported of each."""

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
        digest: A hash of its bytes and results: what was reported to Dagster.
        problems: What is wrong with it, by the names of checks; None where nothing is.
    """

    digest: str
    problems: Mapping[str, str] | None


class ScoredVideos(VideoMemory):
    """The part of the ledger that knows which videos were scored, so that only changed ones are again."""

    _table = scored_videos

    def due_sets(self, plans: Mapping[str, str]) -> dict[str, int]:
        """Return the sets that have videos to score, sorted, each with the number of its newest change.

        Args:
            plans: Hashes of what is to be scored, by set.
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
        """Return what changed in a set since it was scored, and whether all of it was, by the same plan."""
        query = sa.select(scored_sets.c.plan).where(scored_sets.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return changes_of(connection, View.SCORES, prompt_set), connection.scalar(query) == plan

    def finish(self, prompt_set: str, plan: str, changes: Changes, *, unread: Collection[str] = ()) -> None:
        """Note that a set was scored by a plan, with these changes; a few videos that were not read stay."""
        of_set = scored_sets.c.prompt_set == prompt_set
        with self._database.writing() as connection:
            connection.execute(scored_sets.delete().where(of_set))
            connection.execute(scored_sets.insert().values(prompt_set=prompt_set, plan=plan))
            forget_changes(connection, changes.ids, but=unread)
            note_unscored(connection, prompt_set, set(unread) - changes.partitions)

    def forget(self, prompt_sets: Collection[str]) -> None:
        """Forget what changed in sets that have no scores; with scores again, all of their videos count."""
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
        """Return what was last reported of some partitions' videos."""
        found: dict[str, Scored] = {}
        with self._database.reading() as connection:
            for chunk in chunked(partitions):
                query = sa.select(scored_videos).where(
                    scored_videos.c.prompt_set == prompt_set, scored_videos.c.partition.in_(chunk)
                )
                for row in connection.execute(query):
                    found[row.partition] = Scored(row.digest, row.problems)
        return found

    def mark_reported(self, prompt_set: str, videos: Mapping[str, Scored | None]) -> None:
        """Remember what was reported of videos; None for a partition that shows none any more."""
        with self._database.writing() as connection:
            self._replace(connection, prompt_set, videos)
