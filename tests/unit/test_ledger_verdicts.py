"""Verdicts on videos: added only, for the bytes that were seen, and taken back by a new row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from alembic import command
from factories import open_ledger

from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.migrations.upgrade import alembic_config
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import ledger_identity, links
from seedance_dagster.ledger.verdict import Judgement, Verdict

A, D, U = map(Judgement, (Verdict.ACCEPTED, Verdict.DISCARDED, Verdict.UNDECIDED))


def verdicts_of(ledger) -> dict[str, Judgement]:
    return {
        partition: Judgement(judgement.verdict)
        for partition, judgement in ledger.verdicts.current("spots").items()
    }


@pytest.mark.each_database
def test_the_last_verdict_holds_and_all_are_kept(ledger, orders):
    """Two reviewers may disagree: the journal has both, in order."""
    orders.make_many(State.STORED, "cat", "dog")
    ledger.verdicts.give("spots", {"cat": A, "dog": D}, reviewer="ann")
    ledger.verdicts.give("spots", {"cat": replace(D, note="blurred")}, reviewer="bob")
    assert verdicts_of(ledger) == {"cat": D, "dog": D}
    assert [
        (Judgement(row.verdict), row.reviewer, row.note) for row in ledger.verdicts.history("spots", "cat")
    ] == [
        (A, "ann", ""),
        (D, "bob", "blurred"),
    ]


def test_undo_is_a_new_row_and_goes_back_step_by_step(ledger, orders):
    """accepted, discarded, undo, undo: accepted again, then undecided; a third undo is an error."""
    orders.make(State.STORED, "cat")
    ledger.verdicts.give("spots", {"cat": replace(A, note="calm")}, reviewer="ann")
    ledger.verdicts.give("spots", {"cat": D}, reviewer="ann")
    [first] = ledger.verdicts.undo("spots", ["cat"], reviewer="ann")
    assert (first.verdict, first.note) == (Verdict.ACCEPTED, "calm")
    ledger.verdicts.undo("spots", ["cat"], reviewer="ann")
    assert verdicts_of(ledger) == {"cat": U}
    with pytest.raises(VerdictError, match="no verdict on cat is left to take back"):
        ledger.verdicts.undo("spots", ["cat"], reviewer="ann")
    assert len(ledger.verdicts.history("spots", "cat")) == 4


def test_a_new_video_is_undecided(ledger, orders):
    """A verdict belongs to bytes, and a verdict on bytes that are gone is refused in words."""
    old = orders.make(State.STORED, "cat")
    ledger.verdicts.give("spots", {"cat": replace(A, sha256=old.sha256)}, reviewer="ann")
    new = orders.make(State.STORED, "cat")
    assert new.sha256 != old.sha256
    assert verdicts_of(ledger) == {}
    with pytest.raises(VerdictError, match="another video than the one that was looked at"):
        ledger.verdicts.give("spots", {"cat": replace(D, sha256=old.sha256)}, reviewer="ann")
    assert len(ledger.verdicts.history("spots", "cat")) == 1


def test_nothing_is_recorded_where_a_video_is_missing(ledger, orders):
    """If one video of a call is missing, no verdict is recorded, and the message says where to look."""
    orders.make(State.STORED, "cat")
    orders.make(State.SUBMITTED, "dog")
    with pytest.raises(VerdictError, match=r"spots: dog, cow are without a stored video.*review list spots"):
        ledger.verdicts.give("spots", {"cat": A, "dog": A, "cow": A}, reviewer="ann")
    assert verdicts_of(ledger) == {}


def test_many_partitions_are_judged_at_once(ledger, orders, monkeypatch):
    """Verdicts on many partitions are recorded in one call."""
    monkeypatch.setattr("seedance_dagster.ledger.verdicts._FEW", 1)
    orders.make_many(State.STORED, "cat", "dog", "owl")
    ledger.verdicts.give("spots", {"cat": A, "owl": D}, reviewer="ann")
    assert verdicts_of(ledger) == {"cat": A, "owl": D}


@pytest.mark.each_database
def test_reviewers_at_once_are_both_in_the_journal(ledger, orders):
    """Each verdict is a transaction of its own; the one that came last holds."""
    orders.make(State.STORED, "cat")
    with ThreadPoolExecutor(4) as pool:
        futures = [
            pool.submit(ledger.verdicts.give, "spots", {"cat": verdict}, reviewer=str(number))
            for number, verdict in enumerate([A, D] * 4)
        ]
    assert all(future.result() for future in futures)
    history = ledger.verdicts.history("spots", "cat")
    assert {row.reviewer for row in history} == set("01234567")
    assert verdicts_of(ledger) == {"cat": Judgement(history[-1].verdict)}


def test_what_was_reported_is_not_reported_again(ledger, orders):
    """Unreported verdicts are found until they are marked."""
    orders.make(State.STORED, "cat")
    [judgement] = ledger.verdicts.give("spots", {"cat": A}, reviewer="ann")
    assert ledger.verdicts.unreported(10) == [judgement]
    assert not ledger.verdicts.was_reported("spots", "cat")
    ledger.verdicts.mark_reported([judgement.verdict_id])
    assert ledger.verdicts.unreported(10) == []
    assert ledger.verdicts.was_reported("spots", "cat")


def test_a_ledger_that_was_moved_takes_no_verdict(ledger, orders, tmp_path, clock):
    """A gallery that has the old copy open says where the ledger is now."""
    orders.make(State.STORED, "cat")
    ledger.verdicts.give("spots", {"cat": A}, reviewer="ann")
    with open_ledger(f"sqlite:///{tmp_path}/new.db", clock) as new:
        ledger.moving.move_to(new.moving, label="postgresql://db/ledger")
        assert verdicts_of(new) == {"cat": A}
    for call in (ledger.verdicts.give, ledger.verdicts.undo):
        with pytest.raises(
            VerdictError, match="was moved to postgresql://db/ledger: set SEEDANCE_LEDGER_URL"
        ):
            call("spots", {"cat": D}, reviewer="ann")


@pytest.mark.each_database
def test_a_ledger_of_the_first_schema_is_upgraded(ledger_url, clock):
    """Opening it adds tables and indexes, and what was there stays; its indexes in S3 are to be written."""
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        connection.execute(ledger_identity.update().values(ledger_id="old"))
        link = {"prompt_set": "spots", "partition": "cat", "order_id": 1, "linked_at": clock()}
        connection.execute(links.insert(), link)
    engine.dispose()
    with open_ledger(ledger_url, clock) as opened:
        assert opened.identity.ledger_id == "old"
        assert opened.verdicts.current("spots") == {}
        assert opened.indexes.due_sets(str) == {"spots"}
