"""The ledger's memory of what checks found wrong with each video that a set shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import sqlalchemy as sa

from seedance_dagster.ledger.changes import Changes, View, changes_of, forget_changes
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.tables.views import checked_sets, checked_videos
from seedance_dagster.ledger.video_memory import VideoMemory


class Checked(NamedTuple):
    """A video that was checked.

    Attributes:
        order_id: Of its order.
        problems: What is wrong with it, by the names of checks; None where nothing is.
    """

    order_id: int
    problems: Mapping[str, str] | None


class CheckedVideos(VideoMemory):
    """The part of the ledger that knows which videos were checked, so that only changed ones are again."""

    _table = checked_videos

    def is_complete(self, prompt_set: str) -> bool:
        """Return True where all videos of a set were checked once."""
        query = sa.select(checked_sets.c.checked_at).where(checked_sets.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return connection.scalar(query) is not None

    def changes(self, prompt_set: str) -> Changes:
        """Return what changed in a set since its videos were checked."""
        with self._database.reading() as connection:
            return changes_of(connection, View.CHECKS, prompt_set)

    def update(
        self, prompt_set: str, checked: Mapping[str, Checked | None], changes: Changes | None, *, all_: bool
    ) -> None:
        """Remember what checks found.

        Args:
            prompt_set: The set.
            checked: Videos by partition; None for a partition that shows none any more.
            changes: Those that were looked at; None to have them looked at again.
            all_: All videos of the set were looked at.
        """
        of_set = checked_videos.c.prompt_set == prompt_set
        columns = (checked_videos.c.partition, checked_videos.c.order_id, checked_videos.c.problems)
        query = sa.select(*columns).where(of_set)
        with self._database.writing() as connection:
            known: dict[str, Checked] = {}
            for some in [None] if all_ else chunked(checked):
                rows = connection.execute(
                    query if some is None else query.where(checked_videos.c.partition.in_(some))
                )
                known |= {row.partition: Checked(row.order_id, row.problems) for row in rows}
            new = {
                key: now
                for key, now in checked.items()
                # A newer video was checked meanwhile, where a look at all of them takes long.
                if now != known.get(key) and not (now and key in known and known[key].order_id > now.order_id)
            }
            self._replace(connection, prompt_set, new)
            if changes is not None:
                forget_changes(connection, changes.ids)
                if all_:
                    connection.execute(checked_sets.delete().where(checked_sets.c.prompt_set == prompt_set))
                    done = {"prompt_set": prompt_set, "checked_at": self._clock()}
                    connection.execute(checked_sets.insert().values(done))
