"""Tracing: the chain around a thing, and what it never shows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from trace_support import FOLDER, POINTS, SECRET, Desk, one, orders, trace

from seedance_dagster.ledger.order import State
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.trace.origin import UntracedError


@pytest.fixture
def desk(ledger, clock) -> Desk:
    return Desk(ledger, clock)


@pytest.mark.each_database
def test_the_chain_has_earlier_requests_attempts_and_what_is_in_flight(desk, ledger):
    """From the prompt to what Dagster was told, in the order in which things happened."""
    desk.ended(fingerprint="a" * 64)
    desk.stored(fingerprint="b" * 64)
    desk.submitted(fingerprint="b" * 64, run="run-2")
    desk.queued(fingerprint="c" * 64)
    ledger.reports.mark_prompts("spots", {"cat": "b" * 64})
    found = one(trace(ledger, "t-2"))
    assert (found.in_flight, found.points_charged, found.told_fingerprint) == (2, POINTS + 50_000, "b" * 64)
    assert [(each.fingerprint[0], each.asked_now) for each in found.requests] == [
        ("a", False),
        ("b", True),
        ("c", False),
    ]
    first, second, third, fourth = orders(trace(ledger, "t-2"))
    assert [each.state for each in (first, second, third, fourth)] == [
        State.REJECTED,
        State.STORED,
        State.SUBMITTED,
        State.QUEUED,
    ]
    assert [each.in_flight for each in (first, second, third, fourth)] == [False, False, True, True]
    assert [each.reported for each in (first, second, third, fourth)] == [None, "stored", None, None]
    assert (first.error_class, first.files, first.task.points_charged) == ("moderation", [], 50_000)
    assert (second.run_id, second.job_name, second.run_tags) == (
        "run-1",
        "seedance_advance",
        {"owner": "ann"},
    )
    assert (third.attempt, third.run_id, third.task.task_id, fourth.task) == (2, "run-2", "t-3", None)
    assert [each.kind for each in second.files] == ["video", "poster", "manifest"]
    assert [step.to_state for step in second.journal] == [
        "queued",
        "claimed",
        "submitted",
        "succeeded",
        "stored",
    ]
    assert second.ordered_at < second.submitted_at < second.finished_at == second.journal[-1].at
    assert first.finished_at == first.journal[-1].at
    assert third.finished_at is fourth.finished_at is None


@pytest.mark.each_database
def test_the_request_says_what_was_asked_for(desk, ledger):
    """The text as it is, what was set, and what was known of each reference."""
    desk.stored()
    [request] = one(trace(ledger, "spots/cat")).requests
    assert request.prompt == "The cat in @image1 walks"
    assert request.parameters == {"task_type": "seedance-2-fast", "mode": "omni_reference", "duration": 5}
    [reference] = request.references
    assert (reference.kind, reference.position, reference.url) == (
        "image",
        1,
        "https://cdn.example.com/cat.png",
    )
    assert (reference.facts.media_type, reference.facts.size_bytes) == ("image/png", 1234)


def test_no_signature_is_ever_shown(desk, ledger):
    """References, tags, logs, links and errors are shown without what a URL may hide."""
    desk.ended()
    desk.succeeded()
    broken = desk.succeeded("dog")
    reason = f"no answer from https://storage.example.com/v.mp4?{SECRET}"
    ledger.tasks.transfer_failed(broken, actor="w", due_at=desk.clock(), reason=reason)
    told = trace(ledger, "spots/cat").model_dump_json() + trace(ledger, "spots/dog").model_dump_json()
    assert "https://cdn.example.com/cat.png" in told
    assert "no answer from https://storage.example.com/v.mp4" in told
    assert SECRET not in told
    assert "pw@" not in told


def test_what_was_seen_in_s3_stands_beside_each_file(desk, ledger):
    """There, missing, of another size, or not looked at are four different things."""
    order = desk.stored()
    keys = object_keys("seedance", "spots", "cat", order.fingerprint, 1)
    sizes = {keys.video: 901, keys.manifest: 4321}

    def seen(found):
        return [file.in_s3 for file in orders(found)[0].files]

    assert seen(trace(ledger, "t-1", sizes=sizes)) == ["other size", None, "there"]
    assert seen(trace(ledger, "t-1", sizes={keys.video: 900, keys.poster: None})) == [
        "there",
        "missing",
        None,
    ]


@pytest.mark.each_database
def test_the_video_that_is_shown_is_the_ledgers_own_choice(desk, ledger):
    """After an edit, an edit taken back and another attempt it is what the set's index shows."""
    for fingerprint in "aba":
        desk.stored(fingerprint=fingerprint * 64)
    desk.ended(fingerprint="a" * 64)
    for told in (None, "b" * 64, "a" * 64, "c" * 64):
        if told is not None:
            ledger.reports.mark_prompts("spots", {"cat": told})
        shown = [order.order_id for order in orders(trace(ledger, "spots/cat")) if order.shown]
        assert shown == [order.order_id for order in ledger.videos.current("spots")]


def test_no_question_reads_a_whole_table(desk, ledger):
    """Every statement of a trace finds its rows by an index, so that it stays fast among 100,000 orders."""
    desk.stored()
    asked = []
    engine = ledger._database._engine

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, many):
        asked.append((statement, parameters))

    for given in ("t-1", f"{1:064x}", "spots/cat", f"{FOLDER}/video.mp4"):
        trace(ledger, given)
    for given in ("t-9", "spots/elk"):
        with pytest.raises(UntracedError):
            trace(ledger, given)
    statements = {statement: parameters for statement, parameters in asked if statement.startswith("SELECT")}
    assert len(statements) >= 6
    with engine.connect() as connection:
        for statement, parameters in statements.items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row[3] for row in plan]
            assert not [step for step in steps if step.startswith("SCAN seedance")], (statement, steps)
