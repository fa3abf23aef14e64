"""The problems that checks found with each video that a set shows, as the ledger remembers them."""

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
        order_id: The order of the video.
        problems: Reasons by the names of checks; None where nothing is wrong.
    """

    order_id: int
    problems: Mapping[str, str] | None


class CheckedVideos(VideoMemory):
    """The part of the ledger that knows which videos were checked and need no second check."""

    _table = checked_videos

    def is_complete(self, prompt_set: str) -> bool:
        """Return True where all videos of a set have been checked."""
        query = sa.select(checked_sets.c.checked_at).where(checked_sets.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return connection.scalar(query) is not None

    def changes(self, prompt_set: str) -> Changes:
        """Return the changes of a set since its videos were checked."""
        with self._database.reading() as connection:
            return changes_of(connection, View.CHECKS, prompt_set)

    def update(
        self, prompt_set: str, checked: Mapping[str, Checked | None], changes: Changes | None, *, all_: bool
    ) -> None:
        """Remember the problems that checks found.

        Args:
            checked: Videos by partition; None for a partition that no longer shows one.
            changes: The changes that were checked; None to have them checked again.
            all_: True when all videos of the set were checked.
        """
        of_set = checked_videos.c.prompt_set == prompt_set
        columns = (checked_videos.c.partition, checked_videos.c.order_id, checked_videos.c.problems)
        query = sa.select(*columns).where(of_set)
        with self._database.writing() as connection:
            known: dict[str, Checked] = {}
            for chunk in [None] if all_ else chunked(checked):
                rows = connection.execute(
                    query if chunk is None else query.where(checked_videos.c.partition.in_(chunk))
                )
                known |= {row.partition: Checked(row.order_id, row.problems) for row in rows}
            new = {
                key: video
                for key, video in checked.items()
                # Checking all videos takes long: a newer video may have been checked meanwhile, and stays.
                if video != known.get(key)
                and not (video and key in known and known[key].order_id > video.order_id)
            }
            self._replace(connection, prompt_set, new)
            if changes is not None:
                forget_changes(connection, changes.ids)
                if all_:
                    connection.execute(checked_sets.delete().where(checked_sets.c.prompt_set == prompt_set))
                    values = {"prompt_set": prompt_set, "checked_at": self._clock()}
                    connection.execute(checked_sets.insert().values(values))
