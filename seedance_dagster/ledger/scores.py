"""Scores: what was measured of videos, and which videos of a set are still to be scored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.changes import (
    Changes,
    View,
    changes_of,
    forget_changes,
    forget_sets,
    newest_changes,
    note_bytes,
    note_unscored,
)
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.schema import links, orders
from seedance_dagster.ledger.score_results import ScoreResult, ScoreValue
from seedance_dagster.ledger.score_schema import score_values, scored_sets, scored_videos, scores
from seedance_dagster.ledger.videos import current_videos, has_video, scores_of

_SAMPLE = 200  # videos; a score is measured of all


class Scored(NamedTuple):
    """A video of a set that was scored.

    Attributes:
        digest: A hash of its bytes and results: what was reported to Dagster.
        problems: What is wrong with it, by the names of checks; None where nothing is.
    """

    digest: str
    problems: Mapping[str, str] | None


class Scores(LedgerPart):
    """The part of the ledger that knows the scores of videos.

    A result belongs to bytes: it holds wherever they are shown, until the score has another version.
    """

    def results(self, sha256s: Iterable[str]) -> dict[str, dict[str, ScoreResult]]:
        """Return the results for some videos' bytes, by SHA-256 and by the score's name."""
        found: dict[str, dict[str, ScoreResult]] = {}
        with self._database.reading() as connection:
            for chunk in chunked(sha256s):
                query = sa.select(scores).where(scores.c.sha256.in_(chunk)).order_by(scores.c.score)
                for row in connection.execute(query):
                    found.setdefault(row.sha256, {})[row.score] = ScoreResult(
                        score=row.score,
                        version=row.version,
                        values=row.measured,
                        problem=row.problem,
                        scored_at=row.scored_at,
                    )
        return found

    def record(self, sha256: str, results: Collection[ScoreResult]) -> None:
        """Keep the newest results for a video's bytes, in place of those of the same scores."""
        names = [result.score for result in results]
        rows = [
            {
                "sha256": sha256,
                "score": result.score,
                "version": result.version,
                "measured": dict(result.values),
                "problem": result.problem,
                "scored_at": self._clock(),
            }
            for result in results
        ]
        if not rows:
            return
        with self._database.writing() as connection:
            before = _numbers_of(connection, sha256)
            connection.execute(scores.delete().where(scores.c.sha256 == sha256, scores.c.score.in_(names)))
            connection.execute(scores.insert(), rows)
            _sort_by(connection, sha256, before, _numbers_of(connection, sha256))
            note_bytes(connection, sha256)

    def names(self, prompt_set: str | None = None) -> dict[str, bool]:
        """Return the names of the values of a set's newest videos, or of all sets', sorted.

        Each with True where it is a number, so that videos can be sorted by it.
        """
        newest = sa.select(orders.c.sha256).where(orders.c.state == State.STORED)
        if prompt_set is not None:
            newest = newest.join(links, links.c.order_id == orders.c.order_id)
            newest = newest.where(links.c.prompt_set == prompt_set)
        newest = newest.order_by(orders.c.order_id.desc()).limit(_SAMPLE)
        with self._database.reading() as connection:
            measured = scores_of(connection, connection.scalars(newest)).values()
        found = {name: value for values in measured for name, value in values.items()}
        return {name: is_number(value) for name, value in sorted(found.items())}

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

    def scored(self, prompt_set: str, partitions: Iterable[str]) -> dict[str, Scored]:
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

    def keys(self, prompt_set: str) -> set[str]:
        """Return the partitions whose videos were scored."""
        query = sa.select(scored_videos.c.partition).where(scored_videos.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def problems(self, prompt_set: str) -> dict[str, Mapping[str, str]]:
        """Return what is wrong with videos of a set, by partition and by the names of checks."""
        query = sa.select(scored_videos.c.partition, scored_videos.c.problems).where(
            scored_videos.c.prompt_set == prompt_set, scored_videos.c.problems.is_not(None)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(scored_videos.c.partition))
            return {row.partition: row.problems for row in rows}

    def texts(self, prompt_set: str, name: str) -> dict[str, str]:
        """Return a value that is a text of the videos of a set, by partition, in the order of the set."""
        current = current_videos(prompt_set)
        value = scores.c.measured[name].as_string()
        query = (
            sa.select(current.c.label, value)
            .join(orders, orders.c.order_id == current.c.order_id)
            .join(scores, scores.c.sha256 == orders.c.sha256)
            .where(value.is_not(None))
            .order_by(current.c.first_order_id, current.c.label)
        )
        with self._database.reading() as connection:
            return {label: str(text) for label, text in connection.execute(query)}

    def mark_reported(self, prompt_set: str, videos: Mapping[str, Scored | None]) -> None:
        """Remember what was reported of videos; None for a partition that shows none any more."""
        rows = [
            {"prompt_set": prompt_set, "partition": key, **scored._asdict()}
            for key, scored in videos.items()
            if scored is not None
        ]
        with self._database.writing() as connection:
            for chunk in chunked(videos):
                connection.execute(
                    scored_videos.delete().where(
                        scored_videos.c.prompt_set == prompt_set, scored_videos.c.partition.in_(chunk)
                    )
                )
            for some in chunked(rows):
                connection.execute(scored_videos.insert(), some)


def is_number(value: ScoreValue) -> bool:
    """Return True for a value that videos can be sorted by."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers_of(connection: sa.Connection, sha256: str) -> set[tuple[str, float]]:
    values = scores_of(connection, [sha256]).get(sha256, {})
    return {(name, float(value)) for name, value in values.items() if is_number(value)}


def _sort_by(
    connection: sa.Connection, sha256: str, before: set[tuple[str, float]], after: set[tuple[str, float]]
) -> None:
    """Replace the numbers by which a video is sorted."""
    gone = sa.tuple_(score_values.c.name, score_values.c.value).in_(before - after)
    connection.execute(score_values.delete().where(score_values.c.sha256 == sha256, gone))
    new = [{"name": name, "value": value, "sha256": sha256} for name, value in after - before]
    if new:
        connection.execute(score_values.insert(), new)
