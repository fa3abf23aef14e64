"""Scores in the ledger: results of bytes, and the videos that are still to be scored."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command
from factories import NOW

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.migrations.upgrade import alembic_config
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.scored_videos import Scored
from seedance_dagster.ledger.tables.scores import score_values, scores

pytestmark = pytest.mark.each_database


def result(score: str = "motion", version: str = "1", **more) -> ScoreResult:
    return ScoreResult(score=score, version=version, **{"values": {score: 0.5}} | more)


def test_the_newest_result_of_a_score_is_kept(ledger, clock):
    """Another version replaces it; a problem is kept as such, and other scores stay."""
    ledger.scores.record("a", [result(), result("caption", values={"caption": "a cat", "is_dark": True})])
    ledger.scores.record("a", [result(version="2", values={}, problem="it divides by zero")])
    ledger.scores.record("b", [])
    results = ledger.scores.results(["a", "b"])
    assert set(results) == {"a"}
    assert results["a"]["caption"].values == {"caption": "a cat", "is_dark": True}
    motion = results["a"]["motion"]
    assert (motion.version, motion.values, motion.problem) == ("2", {}, "it divides by zero")
    assert motion.scored_at == clock()


def test_an_older_ledger_is_sorted_by_its_scores(ledger_url):
    """The numbers of its results are taken over when it is upgraded, and words are not."""
    engine = sa.create_engine(ledger_url)
    values = {"motion": 0.1, "cuts": 1, "mood": "calm", "dark": True}
    measured = {"a": values, "b": {"cuts": 2}}
    same = {"sha256": "a", "version": "1", "scored_at": NOW}
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0010")
        rows = [{**same, "score": score, "measured": values} for score, values in measured.items()]
        connection.execute(scores.insert(), rows)
    Ledger.open(ledger_url).close()
    with engine.begin() as connection:
        numbers = connection.execute(sa.select(score_values).order_by(score_values.c.name)).all()
    engine.dispose()
    assert numbers == [("cuts", 2.0, "a"), ("motion", 0.1, "a")]


def test_a_video_shows_the_values_of_its_bytes(ledger, orders):
    """A video shows the scores of its bytes in every partition; another video of the partition does not."""
    cat, dog = orders.make_many(State.STORED, "cat", "dog")
    ledger.scores.record(cat.sha256, [result(), result("cuts", values={"cuts": 2})])
    shown = {video.partition: video.scores for video in ledger.videos.current("spots")}
    assert shown == {"cat": {"motion": 0.5, "cuts": 2}, "dog": {}}
    orders.make(State.STORED, "cat", artifacts={"sha256": "other"})
    [video] = ledger.videos.current("spots", "cat")
    assert video.scores == {}
    assert dog.sha256 != cat.sha256


def test_a_result_has_the_index_written_again(ledger, orders):
    """A result makes the index due for each partition that may show the bytes."""
    order = orders.make(State.STORED, "cat")
    changes = ledger.indexes.changes("spots")
    ledger.indexes.forget(changes)
    assert ledger.indexes.changes("spots").partitions == frozenset()
    ledger.scores.record(order.sha256, [result()])
    assert ledger.indexes.changes("spots").partitions == {"cat"}


def test_a_set_is_due_until_its_changes_were_scored(ledger, orders):
    """A set is due at first, for a new plan, and after changes, also those made while it is scored."""
    orders.make(State.SUBMITTED, "fox")
    assert ledger.scored.due_sets({"spots": "a", "others": "a"}) == {}
    orders.make(State.STORED, "cat")
    assert list(ledger.scored.due_sets({"spots": "a", "others": "a"})) == ["spots"]
    changes, complete = ledger.scored.changes("spots", "a")
    assert (changes.partitions, complete) == ({"cat"}, False)
    orders.make(State.STORED, "dog")
    ledger.scored.finish("spots", "a", changes)
    assert ledger.scored.changes("spots", "a")[0].partitions == {"dog"}
    assert ledger.scored.changes("spots", "a")[1]
    ledger.scored.finish("spots", "a", ledger.scored.changes("spots", "a")[0])
    assert ledger.scored.due_sets({"spots": "a"}) == {}
    assert ledger.scored.due_sets({"spots": "b"}) == {"spots": 0}


def test_sets_without_scores_are_forgotten(ledger, orders):
    """Sets without scores are forgotten, and all their videos are due if they get scores again."""
    orders.make(State.STORED, "cat")
    ledger.scored.finish("spots", "a", ledger.scored.changes("spots", "a")[0])
    ledger.scored.mark_reported("spots", {"cat": Scored("d", None)})
    orders.make(State.STORED, "dog")
    ledger.scored.forget(["spots", "others"])
    assert ledger.scored.changes("spots", "a") == (ledger.scored.changes("others", "a")[0], False)
    assert ledger.scored.keys("spots") == set()
    assert ledger.scored.due_sets({"spots": "a"}) == {"spots": 0}


def test_what_was_reported_is_remembered(ledger):
    """A report of scores is remembered with its problems, until the partition has no video."""
    slow = Scored("d2", {"score_motion": "motion is 0.1; required is >=0.2"})
    ledger.scored.mark_reported("spots", {"cat": Scored("d1", None), "dog": slow, "cow": Scored("d3", None)})
    ledger.scored.mark_reported("spots", {"cow": None})
    assert ledger.scored.reported("spots", ["cat", "dog", "cow"]) == {"cat": Scored("d1", None), "dog": slow}
    assert ledger.scored.problems("spots") == {"dog": slow.problems}
    assert ledger.scored.keys("spots") == {"cat", "dog"}
