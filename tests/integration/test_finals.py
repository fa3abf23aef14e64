"""Drafts and finals in Dagster: accepted drafts, and only those, are ordered again, and paid for once."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import dagster as dg
import pytest
from code_location import QUIET, CodeLocation, running_location

from seedance_dagster.datasets.export.export import export
from seedance_dagster.datasets.export.plan import Format, plan_export, select_accepted
from seedance_dagster.datasets.export.s3_destination import open_destination
from seedance_dagster.datasets.export.splits import Splits
from seedance_dagster.defs.naming import PENDING_JOB
from seedance_dagster.defs.steps import generation
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.verdict import Judgement, Verdict

pytestmark = [pytest.mark.integration, QUIET]

STAGES = {"draft": {"resolution": "480p"}, "final": {"resolution": "720p"}}
NOT_ACCEPTED = "no video of what the draft asks for now is accepted"


@pytest.fixture
def location(s3_server, tmp_path):
    """A code location with two drafts that are stored, one of them with two takes."""
    with running_location(tmp_path, s3_server, {"cat": "a cat"}) as location:
        write(location)
        location.tick()
        assert location.run("cat", "dog").success
        yield location


def write(location: CodeLocation, cat: str = "a cat", rights: str = "by Ann") -> None:
    location.write({"cat": {"prompt": cat, "takes": 2}, "dog": "a dog"}, rights=rights, **STAGES)


def judge(location: CodeLocation, verdict: Verdict, *keys: str) -> None:
    with location.ledger() as ledger:
        ledger.verdicts.give("spots", dict.fromkeys(keys, Judgement(verdict)), reviewer="ann")


def accept(location: CodeLocation, *keys: str) -> None:
    """Accept drafts, and let a tick add their finals."""
    judge(location, Verdict.ACCEPTED, *keys)
    location.tick()


def undo(location: CodeLocation, key: str) -> None:
    with location.ledger() as ledger:
        ledger.verdicts.undo("spots", [key], reviewer="ann")


def order_pending(location: CodeLocation) -> dg.ExecuteInProcessResult:
    job = location.defs.resolve_job_def(PENDING_JOB)
    config = {"ops": {"order": {"config": {"max_cost_usd": 50}}}}
    return job.execute_in_process(instance=location.instance, run_config=config, raise_on_error=False)


@pytest.mark.long
def test_an_accepted_draft_is_ordered_in_final(location):
    """Its partition appears with the verdict, and its order is of the same shot in the other resolution."""
    assert location.partitions() == ["cat", "cat.t2", "dog"]
    accept(location, "cat.t2")
    assert location.partitions() == ["cat", "cat.t2", "dog", "cat.t2.final"]
    assert location.books()["tasks"] == 3  # nothing is ordered by a verdict
    assert location.run("cat.t2.final").success
    [draft], [final] = location.orders("cat.t2"), location.orders("cat.t2.final")
    assert (draft.request["resolution"], final.request["resolution"]) == ("480p", "720p")
    assert draft.request | {"resolution": "720p"} == final.request
    assert (final.take, final.attempt, final.state) == (2, 1, State.STORED)
    assert (
        location.newest("videos", "cat.t2.final").metadata["seedance/fingerprint"].value == final.fingerprint
    )
    assert location.books()["tasks"] == 4


@pytest.mark.further
def test_a_dataset_has_the_accepted_final(location, tmp_path):
    """Two drafts are accepted and one final: one clip, at the cost of all four orders."""
    accept(location, "cat", "cat.t2")
    assert location.run("cat.final").success
    [final] = location.orders("cat.final")
    assert final.rights == {"prompt": {"text": "by Ann"}}
    assert json.loads(location.store.get_bytes(final.manifest_key))["rights"] == final.rights
    write(location, rights="by Bea")  # pays for nothing again
    accept(location, "cat.final")
    with location.ledger() as ledger:
        selection = select_accepted(ledger, location.store, "spots", Splits.parse("train=1"))
        dest = open_destination(str(tmp_path / "dataset"), location.store)
        assert export(plan_export(selection, Format.VIDEOFOLDER), dest).written == 3
    [clip] = selection.clips
    assert (clip.row["partition"], clip.row["resolution"]) == ("cat.final", "720p")
    assert json.loads(clip.row["rights"]) == {"prompt": {"text": "by Bea"}}
    assert location.run("cat.final").success
    assert len(location.orders("cat.final")) == 1
    video = tmp_path / "dataset" / "train" / "cat.final.mp4"
    assert hashlib.sha256(video.read_bytes()).hexdigest() == location.orders("cat.final")[0].sha256
    assert selection.figures.points_per_accepted == selection.figures.points
    assert location.books()["points_charged"] == selection.figures.points


def test_a_final_is_paid_for_once(location):
    """Another run and the schedule's job reuse it; `regenerate` pays once for each backfill."""
    accept(location, "cat")
    assert location.run("cat.final").success
    assert location.run("cat.final").success
    assert order_pending(location).success
    assert location.books()["tasks"] == 4
    tags = ({"dagster/backfill": "b1"}, {"dagster/backfill": "b2", "dagster/root_backfill_id": "b1"})
    for of_run in (*tags, *tags):
        assert location.run("cat.final", config={"regenerate": True}, tags=of_run).success
    assert [order.attempt for order in location.orders("cat.final")] == [1, 2]
    assert location.books()["tasks"] == 5


@pytest.mark.further
def test_two_runs_at_once_pay_once(location, monkeypatch):
    """A run that ordered between the quote and the order of another one is joined by it."""
    accept(location, "cat")
    declined_finals, others = generation.declined_finals, []

    def with_another_run(*args):
        if not others:
            others.append("started")
            others.append(location.run("cat.final"))
        return declined_finals(*args)

    monkeypatch.setattr(generation, "declined_finals", with_another_run)
    assert location.run("cat.final").success
    assert others[1].success
    assert len(location.orders("cat.final")) == 1
    assert location.books()["tasks"] == 4


@pytest.mark.further
def test_accepted_finals_are_pending(location):
    """The schedule's job orders those of accepted drafts, and no others."""
    assert order_pending(location).success
    assert location.books()["posts"] == 3
    accept(location, "dog", "cat")
    judge(location, Verdict.DISCARDED, "cat")
    plan = location.plan().metadata
    [saving] = [record.data for record in plan["seedance/drafts"].records]
    assert (saving["drafts"], saving["accepted"]) == (3, 1)
    assert saving["saved_usd"] == pytest.approx(saving["all_in_final_usd"] * 2 / 3 - saving["drafts_usd"])
    assert plan["seedance/new_orders"].value == 1
    assert plan["seedance/estimated_cost_usd"].value == pytest.approx(saving["finals_usd"])
    assert order_pending(location).success
    assert [order.partition for order in all_orders(location)] == ["cat", "cat.t2", "dog", "dog.final"]


def all_orders(location: CodeLocation):
    with location.ledger() as ledger:
        return ledger.queries.find()


@pytest.mark.long
def test_a_verdict_that_is_taken_back_takes_the_final_away(location):
    """A final that was not ordered leaves Dagster at once; one that was ordered stays."""
    accept(location, "cat", "dog")
    assert location.run("dog.final").success
    for key in ("cat", "dog"):
        undo(location, key)
    location.tick()
    assert location.partitions() == ["cat", "cat.t2", "dog", "dog.final"]
    assert location.run("dog.final").success
    assert location.books()["tasks"] == 4
    again = location.run("dog.final", config={"regenerate": True})
    assert again.success
    assert location.books()["tasks"] == 4


@pytest.mark.further
def test_a_final_of_a_draft_that_is_not_accepted_is_declined(location):
    """The run says so, orders nothing for that final, and does the rest of its work."""
    accept(location, "cat")
    undo(location, "cat")
    location.write({"cat": {"prompt": "a cat", "takes": 2}, "dog": "a dog", "ant": "an ant"}, **STAGES)
    location.instance.add_dynamic_partitions("spots_prompts", ["ant"])
    done = location.run("cat.final", "ant")
    assert done.success
    assert f"1 final was not ordered, since {NOT_ACCEPTED}: cat.final" in done.log
    assert ("ant", "materialization") in done.events_of("videos")
    assert location.orders("cat.final") == []


@pytest.mark.further
def test_a_verdict_taken_back_before_the_order_declines_it(location, monkeypatch):
    """A draft that was accepted when the run read its set, and is not when it orders, has no final."""
    accept(location, "cat")
    preflight = generation.preflight

    def with_undo(*args):
        undo(location, "cat")
        return preflight(*args)

    monkeypatch.setattr(generation, "preflight", with_undo)
    done = location.run("cat.final")
    assert done.success
    assert NOT_ACCEPTED in done.log
    assert (location.orders("cat.final"), location.books()["tasks"]) == ([], 3)


@pytest.mark.long
def test_an_edited_prompt_has_no_final(location):
    """The verdict was on a video of another request than the draft asks for now."""
    accept(location, "cat")
    write(location, cat="a black cat")
    done = location.run("cat.final")
    assert NOT_ACCEPTED in done.log
    assert location.orders("cat.final") == []
    write(location)
    assert location.run("cat.final").success
    assert len(location.orders("cat.final")) == 1


@pytest.mark.long
def test_a_new_video_of_the_draft_is_undecided(location):
    """A draft that was made again has to be accepted again before its final is ordered."""
    accept(location, "dog")
    assert location.run("dog", config={"regenerate": True}).success
    [first, second] = location.orders("dog")
    assert first.sha256 != second.sha256
    assert NOT_ACCEPTED in location.run("dog.final").log
    assert location.orders("dog.final") == []


@pytest.mark.long
def test_a_queued_final_is_withdrawn_with_its_verdict(location):
    """A final's queued order ends at no cost when its draft is no longer accepted."""
    accept(location, "dog")
    assert location.run("dog.final", assets=("prompts", "tasks")).success
    [order] = location.orders("dog.final")
    assert order.state is State.QUEUED
    undo(location, "dog")
    location.tick()
    with location.ledger() as ledger:
        ledger.withdrawals.unwanted(["spots"], actor="test", grace=timedelta(0))
    [order] = location.orders("dog.final")
    assert (order.state, order.task_id) == (State.FAILED, None)
    accept(location, "dog")
    assert location.run("dog.final").success
    assert [order.state for order in location.orders("dog.final")] == [State.FAILED, State.STORED]
    assert location.books()["tasks"] == 4
