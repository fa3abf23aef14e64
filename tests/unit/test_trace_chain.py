"""The chain around a thing, and what it never shows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from factories import POINTS, read_prompts
from order_factory import OrderFactory
from trace_support import FOLDER, SECRET, one, trace, traced_orders

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.trace.origin import UnknownOriginError


@pytest.fixture
def orders(ledger, clock) -> OrderFactory:
    return traced_orders(ledger, clock)


@pytest.mark.each_database
def test_the_chain_has_earlier_requests_attempts_and_orders_in_flight(orders, ledger):
    """A partition has all its orders, oldest first, each with its journal."""
    orders.make(State.REJECTED, fingerprint="a" * 64)
    orders.make(State.STORED, fingerprint="b" * 64)
    orders.make(State.SUBMITTED, fingerprint="b" * 64, run_id="run-2")
    orders.make(State.QUEUED, fingerprint="c" * 64)
    read_prompts(ledger, "spots", {"cat": "b" * 64})
    chain = one(trace(ledger, "t-2"))
    assert (chain.in_flight, chain.points_charged, chain.reported) == (2, POINTS + 50_000, "b" * 64)
    first, second, third, fourth = chain.orders
    assert [traced.order for traced in chain.orders] == ledger.queries.of_partition("spots", "cat")
    assert [traced.in_flight for traced in chain.orders] == [False, False, True, True]
    assert first.files == []
    assert [file.kind for file in second.files] == ["video", "poster", "manifest"]
    assert [entry.to_state for entry in second.journal] == [
        "queued",
        "claimed",
        "submitted",
        "succeeded",
        "stored",
    ]
    assert second.order.ordered_at < second.order.submitted_at < second.finished_at
    assert second.finished_at == second.journal[-1].at
    assert first.finished_at == first.journal[-1].at
    assert third.finished_at is fourth.finished_at is None


@pytest.mark.each_database
def test_the_json_has_the_ledgers_columns_and_what_was_known_of_references(orders, ledger):
    """It has the request, its references, and everything else that the ledger knows of the order."""
    stored = ledger.queries.get(orders.make(State.STORED).order_id)
    [order] = trace(ledger, "spots/cat").as_json()["partitions"][0]["orders"]
    assert order["request"]["prompt"] == "The cat in @image1 walks"
    assert order["request"]["image_urls"] == ["https://cdn.example.com/cat.png"]
    [reference] = order["references"]
    assert (reference["kind"], reference["position"]) == ("image", 1)
    assert reference["url"] == "https://cdn.example.com/cat.png"
    assert (reference["facts"]["media_type"], reference["facts"]["size_bytes"]) == ("image/png", 1234)
    assert vars(stored).keys() - order.keys() == {"video_url", "source_url", "reference_facts"}
    for name in ("order_id", "task_id", "points_charged", "sha256", "stored_at"):
        assert order[name] == getattr(stored, name)
    assert order["reported"] == "stored"


def test_verdicts_stand_at_the_video_that_was_judged(orders, ledger):
    """A newer video of the partition has none; notes are shown without what may be a signature."""
    orders.make(State.STORED, fingerprint="a" * 64)
    note = Judgement(Verdict.ACCEPTED, f"see https://cdn.example.com/a.png?{SECRET}")
    ledger.verdicts.give("spots", {"cat": note}, reviewer="ann")
    orders.make(State.STORED, fingerprint="b" * 64)
    first, second = trace(ledger, "spots/cat").as_json()["partitions"][0]["orders"]
    [judgement] = first["verdicts"]
    assert (judgement["verdict"], judgement["reviewer"], second["verdicts"]) == ("accepted", "ann", [])
    assert SECRET not in judgement["note"]


def test_scores_stand_at_the_video_that_was_measured(orders, ledger):
    """With their values, or why there are none."""
    measured = orders.make(State.STORED, fingerprint="a" * 64)
    results = [
        ScoreResult(score="motion", version="1", values={"motion": 0.25}),
        ScoreResult(score="smile", version="2", values={}, problem="took longer than 60 s"),
    ]
    ledger.scores.record(measured.sha256, results)
    orders.make(State.STORED, fingerprint="b" * 64)
    first, second = trace(ledger, "spots/cat").as_json()["partitions"][0]["orders"]
    assert [score["values"] for score in first["scores"]] == [{"motion": 0.25}, {}]
    assert first["scores"][1]["problem"] == "took longer than 60 s"
    assert second["scores"] == []


def test_no_signature_is_ever_shown(orders, ledger):
    """References, requests, tags, logs, links and errors are shown without the secret parts of URLs."""
    orders.make(State.REJECTED)
    orders.make(State.SUCCEEDED)
    broken = orders.make(State.SUCCEEDED, "dog")
    reason = f"no answer from https://storage.example.com/v.mp4?{SECRET}"
    ledger.tasks.transfer_failed(broken, actor="w", due_at=orders.clock(), reason=reason)
    output = repr([trace(ledger, thing).as_json() for thing in ("spots/cat", "spots/dog")])
    assert "https://cdn.example.com/cat.png" in output
    assert "no answer from https://storage.example.com/v.mp4" in output
    assert SECRET not in output
    assert "pw@" not in output


def test_each_file_says_what_s3_has(orders, ledger):
    """Present, missing, of another size, and not looked up are four different things."""
    order = orders.make(State.STORED)
    keys = object_keys("seedance", "spots", "cat", order.fingerprint, 1)

    def in_s3(sizes):
        [order] = trace(ledger, "t-1", sizes=sizes).as_json()["partitions"][0]["orders"]
        return [file["in_s3"] for file in order["files"]]

    assert in_s3({keys.video: 1001, keys.manifest: 4321}) == ["other size", None, "present"]
    assert in_s3({keys.video: 1000, keys.poster: None}) == ["present", "missing", None]


@pytest.mark.each_database
def test_the_video_that_is_shown_is_the_ledgers_own_choice(orders, ledger):
    """After an edit, a reverted edit and another attempt it is the video that the set's index shows."""
    for fingerprint in "aba":
        orders.make(State.STORED, fingerprint=fingerprint * 64)
    orders.make(State.REJECTED, fingerprint="a" * 64)
    for reported in (None, "b" * 64, "a" * 64, "c" * 64):
        if reported is not None:
            read_prompts(ledger, "spots", {"cat": reported})
        shown = [traced.order.order_id for traced in one(trace(ledger, "spots/cat")).orders if traced.shown]
        assert shown == [video.order.order_id for video in ledger.videos.current("spots")]


def test_no_query_reads_a_whole_table(orders, ledger):
    """Every statement of a trace finds its rows by an index, so that it stays fast among 100,000 orders."""
    orders.make(State.STORED)
    executed = []
    engine = ledger._database._engine

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, many):
        executed.append((statement, parameters))

    for thing in ("t-1", f"{1:064x}", "spots/cat", f"{FOLDER}/video.mp4"):
        trace(ledger, thing)
    for thing in ("t-9", "spots/elk"):
        with pytest.raises(UnknownOriginError):
            trace(ledger, thing)
    statements = {
        statement: parameters for statement, parameters in executed if statement.startswith("SELECT")
    }
    assert len(statements) >= 6
    with engine.connect() as connection:
        for statement, parameters in statements.items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row[3] for row in plan]
            assert not [step for step in steps if step.startswith("SCAN seedance")], (statement, steps)
