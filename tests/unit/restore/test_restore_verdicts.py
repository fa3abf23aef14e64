"""Verdicts come back from the events that Dagster has of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from factories import NOW
from restore_world import lose, plan, prompt, restore

from seedance_dagster.audit.snapshots import RecordedEvent
from seedance_dagster.ledger.verdict import Judgement, Verdict

ACCEPTED, UNDECIDED = Verdict.ACCEPTED, Verdict.UNDECIDED


def event(number: int, verdict: str, at: datetime, **metadata: object) -> RecordedEvent:
    """Return Dagster's event of a verdict on the video of a numbered order."""
    fields = {"verdict": verdict, "reviewer": "ann", "decided_at": at.timestamp(), **metadata}
    tags = {f"seedance/{name}": value for name, value in fields.items()}
    return RecordedEvent(prompt_set="spots", partition=f"p{number}", at=at, metadata=tags, data_version=None)


def history_of(world, partition: str) -> list[tuple[str, str, str]]:
    history = world.ledger.verdicts.history("spots", partition)
    return [(row.verdict.value, row.reviewer, row.note) for row in history]


def sha256(world, number: int) -> str:
    return str(world.ledger.queries.get(number).sha256)


def test_accepted_videos_are_accepted_in_a_new_ledger(kept, tmp_path, clock):
    """Verdicts come back once with reviewer, note and time, and are not reported again."""
    digest = sha256(kept, 1)
    lose(kept, tmp_path, clock)
    kept.dagster.verdict_events = [
        event(1, "accepted", NOW, sha256=digest, note="calm"),
        event(1, "accepted", NOW, sha256=digest, note="calm"),  # reported twice
        event(2, "accepted", NOW, sha256="of a video that is gone"),
        event(2, "maybe", NOW, sha256=digest),
    ]
    assert len(restore(kept, prompt(1), prompt(2)).verdicts) == 1
    assert history_of(kept, "p1") == [("accepted", "ann", "calm")]
    assert kept.ledger.verdicts.current("spots")["p1"].given_at == NOW
    assert kept.ledger.indexes.changes("spots").partitions >= {"p1"}
    assert kept.ledger.verdicts.unreported(9) == []
    assert plan(kept, prompt(1), prompt(2)).verdicts == ()


@pytest.mark.parametrize("verdict", [UNDECIDED, Verdict.DISCARDED])
def test_what_was_taken_back_since_a_backup_is_not_accepted(kept, verdict):
    """An accepted draft is ordered in final, so an older backup must not accept it again."""
    kept.ledger.verdicts.give("spots", {"p1": Judgement(ACCEPTED)}, reviewer="ann")
    digest, later = sha256(kept, 1), NOW + timedelta(minutes=5)
    kept.dagster.verdict_events = [
        event(1, verdict, later, sha256=digest),
        event(1, "accepted", NOW, sha256=digest),
    ]
    assert [restored.verdict for restored in restore(kept, prompt(1), prompt(2)).verdicts] == [verdict]
    assert kept.ledger.verdicts.current("spots")["p1"].verdict is verdict


def test_what_the_ledger_knows_later_stays(kept):
    """A later verdict in the ledger, not yet reported, does not give way to an older one."""
    digest = sha256(kept, 1)
    kept.ledger.verdicts.give("spots", {"p1": Judgement(ACCEPTED)}, reviewer="bob")
    kept.dagster.verdict_events = [event(1, "undecided", NOW - timedelta(minutes=5), sha256=digest)]
    assert restore(kept, prompt(1), prompt(2)).verdicts == ()
    assert history_of(kept, "p1") == [("accepted", "bob", "")]
