"""Scores: the results of measuring videos."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.changes import (
    note_bytes,
)
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult, ScoreValue
from seedance_dagster.ledger.tables.schema import links, orders
from seedance_dagster.ledger.tables.scores import score_values, scores
from seedance_dagster.ledger.videos import current_videos, scores_of

_SAMPLE = 200  # videos; each score is measured for all of them


class Scores(LedgerPart):
    """The part of the ledger that knows the scores of videos.

    A result belongs to bytes: it holds wherever they are shown, until the score has another version.
    """

    def results(self, sha256s: Iterable[str]) -> dict[str, dict[str, ScoreResult]]:
        """Return the results for some videos' bytes, by SHA-256 and by the score's name."""
        results: dict[str, dict[str, ScoreResult]] = {}
        with self._database.reading() as connection:
            for chunk in chunked(sha256s):
                query = sa.select(scores).where(scores.c.sha256.in_(chunk)).order_by(scores.c.score)
                for row in connection.execute(query):
                    results.setdefault(row.sha256, {})[row.score] = ScoreResult(
                        score=row.score,
                        version=row.version,
                        values=row.measured,
                        problem=row.problem,
                        scored_at=row.scored_at,
                    )
        return results

    def record(self, sha256: str, results: Collection[ScoreResult]) -> None:
        """Record results for a video's bytes, in place of earlier results of the same scores."""
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
        """Return the names of the score values of a set's newest videos, or of all sets', sorted.

        Each name maps to True where the value is a number, so that videos can be sorted by it.
        """
        newest = sa.select(orders.c.sha256).where(orders.c.state == State.STORED)
        if prompt_set is not None:
            newest = newest.join(links, links.c.order_id == orders.c.order_id)
            newest = newest.where(links.c.prompt_set == prompt_set)
        newest = newest.order_by(orders.c.order_id.desc()).limit(_SAMPLE)
        with self._database.reading() as connection:
            measured = scores_of(connection, connection.scalars(newest)).values()
        samples = {name: value for values in measured for name, value in values.items()}
        return {name: is_number(value) for name, value in sorted(samples.items())}

    def texts(self, prompt_set: str, name: str) -> dict[str, str]:
        """Return a text value of a set's videos, by partition, in the order of the set."""
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


def is_number(value: ScoreValue) -> bool:
    """Return True for a value that videos can be sorted by."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers_of(connection: sa.Connection, sha256: str) -> set[tuple[str, float]]:
    values = scores_of(connection, [sha256]).get(sha256, {})
    return {(name, float(value)) for name, value in values.items() if is_number(value)}


def _sort_by(
    connection: sa.Connection, sha256: str, before: set[tuple[str, float]], after: set[tuple[str, float]]
) -> None:
    """Replace the numbers that a video is sorted by."""
    gone = sa.tuple_(score_values.c.name, score_values.c.value).in_(before - after)
    connection.execute(score_values.delete().where(score_values.c.sha256 == sha256, gone))
    new = [{"name": name, "value": value, "sha256": sha256} for name, value in after - before]
    if new:
        connection.execute(score_values.insert(), new)
