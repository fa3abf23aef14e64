"""Repairs: what is repaired, what is left, and why."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from audit_snapshots import POINTS, event_of, row
from audit_world import VIDEO, World, rewritten
from factories import remove_row

from seedance_dagster.api.errors import VendorError
from seedance_dagster.audit.repair import RepairResult
from seedance_dagster.ledger.order import State


def actors(world: World, order_id: int = 1) -> list[str]:
    """Return the actors that changed an order."""
    return [entry.actor for entry in world.ledger.queries.journal(order_id)]


def test_a_repair_without_findings_does_nothing(world):
    """Nothing is changed and nothing is written to the journal when all sources agree."""
    assert world.repair(deep=True) == {}
    assert actors(world) == ["test"]


def reported(world) -> str | None:
    [link] = world.ledger.reports.links(1)
    return link.reported


@pytest.mark.parametrize("damage", ["lost", "changed", "all lost"])
def test_a_lost_or_changed_video_is_fetched_again(world, order, damage):
    """The order waits for the next run with the vendor's current link, and a second audit is clean."""
    match damage:
        case "lost":
            del world.store.objects[order.video_key]
        case "changed":
            world.store.objects[order.video_key] = VIDEO[::-1]
        case "all lost":
            for key in (order.video_key, order.poster_key, order.manifest_key):
                del world.store.objects[key]
    [result] = world.repair(deep=True).values()
    assert result.repaired
    agreed = "ledger and Dagster agree on sha256; ledger and vendor agree on task_id"
    assert result.message.startswith(f"the next run fetches it again: {agreed}")
    now = world.ledger.queries.get(1)
    assert (now.state, now.video_url) == (State.SUCCEEDED, "https://v.example.com/a")
    assert reported(world) == "submitted"
    assert actors(world) == ["test", "audit 1"]
    assert world.kinds(deep=True) == []


def test_what_a_fetched_video_replaces_is_kept(world, order):
    """The object that the next run overwrites is kept beside it with its old bytes."""
    world.store.objects[order.video_key] = VIDEO[::-1]
    [result] = world.repair(deep=True).values()
    kept = f"{order.video_key}.replaced-20260406T180000Z"
    assert f"s3://videos/{kept}" in result.message
    assert world.store.objects[kept] == VIDEO[::-1]


def test_a_video_of_another_request_is_not_fetched(world, order):
    """The vendor's task must render the order's prompt."""
    del world.store.objects[order.video_key]
    world.change_task(order, input={"prompt": "a dog", "mode": "text_to_video", "duration": 4})
    result = world.repair()["missing_in_s3"]
    assert result == RepairResult(False, "the vendor's task is another request's: its prompt differs")


def test_a_video_whose_link_is_dead_is_not_given_up(world, order, dead):
    """An order whose video cannot be fetched again stays stored."""
    del world.store.objects[order.video_key]
    dead.add("https://v.example.com/a")
    [result] = world.repair().values()
    assert not result.repaired
    assert result.message.startswith("the vendor's link no longer works (the link is gone (HTTP 404))")
    assert world.ledger.queries.get(1).state is State.STORED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"video_url": None}, "the vendor no longer has a link to it; generating it again costs money"),
        (None, "no such task"),
        (VendorError("it is down"), "it is down"),
    ],
)
def test_a_video_that_the_vendor_no_longer_has_is_left(world, order, change, reason):
    """Without a link the order stays as it is, and so does what is left in S3."""
    world.store.objects[order.video_key] = VIDEO[::-1]
    if isinstance(change, dict):
        world.change_task(order, **change)
    elif change is None:
        del world.vendor.tasks[order.task_id]
    else:
        world.vendor.fails["task"] = change
    result = world.repair(deep=True)["bytes_changed"]
    assert (result.repaired, result.message) == (False, reason)
    assert world.ledger.queries.get(1) == order
    assert world.store.objects[order.video_key] == VIDEO[::-1]


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_or_altered_manifest_is_written_from_the_ledger(world, order, lost):
    """The new manifest is the old one, byte by byte."""
    before = world.store.objects.pop(order.manifest_key)
    if not lost:
        world.store.objects[order.manifest_key] = before.replace(b"cat 1", b"dog 1")
    [result] = world.repair().values()
    agreed = "ledger and Dagster agree on sha256" if lost else "ledger and vendor agree on prompt, task_id"
    assert result.repaired
    assert result.message.startswith(f"written from the ledger: {agreed}")
    assert world.store.objects[order.manifest_key] == before
    assert actors(world) == ["test", "audit 1"]
    assert world.kinds(deep=True) == []


def test_a_lost_video_and_its_manifest_are_left_to_the_next_run(world, order):
    """The run that fetches a video also writes its manifest and event, so the repair does not."""
    del world.store.objects[order.video_key]
    world.store.objects[order.manifest_key] = b"{}"
    results = world.repair()
    assert results["missing_in_s3"].repaired
    assert results["manifest_altered"] == RepairResult(
        True, "the next run repairs it when it fetches the video"
    )
    assert world.store.objects[order.manifest_key] == b"{}"


def test_the_manifest_of_a_video_that_is_lost_for_good_is_repaired(world, order):
    """The manifest is written even if the vendor no longer has the video."""
    del world.store.objects[order.video_key]
    before = world.store.objects.pop(order.manifest_key)
    world.store.objects[order.manifest_key] = b"{}"
    world.change_task(order, video_url=None)
    assert {kind: result.repaired for kind, result in world.repair().items()} == {
        "missing_in_s3": False,
        "manifest_altered": True,
    }
    assert world.store.objects[order.manifest_key] == before


def test_a_video_with_two_faults_is_fetched_once(world, order):
    """A lost poster and a changed video of one order are one transition."""
    world.store.objects[order.video_key] = VIDEO[::-1]
    del world.store.objects[order.poster_key]
    assert {kind: result.repaired for kind, result in world.repair(deep=True).items()} == {
        "missing_in_s3": True,
        "bytes_changed": True,
    }
    assert actors(world) == ["test", "audit 1"]


def test_nothing_is_written_for_an_order_that_changed_meanwhile(world, order):
    """A manifest of the old row must not replace that of the current row."""
    world.store.objects[order.manifest_key] = b"{}"
    audit = world.audit()
    world.ledger.repairs.fetch_again(order, actor="another", video_url="u", reason="r")
    world.audit = lambda **_: replace(audit)
    [result] = world.repair().values()
    assert result == RepairResult(False, "the order changed during the audit: run it again")
    assert world.store.objects[order.manifest_key] == b"{}"


def test_two_systems_against_two_are_no_evidence(world, order):
    """A person decides when manifest and Dagster contradict ledger and vendor."""
    world.store.objects[order.manifest_key] = rewritten(order, points_charged=1)
    charged = {"seedance/task_id": "task-1", "seedance/points_consumed": 1}
    world.dagster.events.append(event_of(order, metadata=charged))
    results = world.repair()
    assert results.keys() == {"manifest_altered", "materialization_differs"}
    assert {result.message for result in results.values()} == {
        "no second system confirms the ledger on points_charged: see the evidence"
    }
    assert (world.dagster.reported_again, actors(world)) == ([], ["test"])


def test_charges_and_unmatched_tasks_are_only_reported(world, order):
    """A repair changes no charge and adopts no task."""
    world.change_task(order, points_charged=2 * POINTS)
    world.vendor.rows["foreign"] = row()
    results = world.repair()
    assert {kind: result.message for kind, result in results.items()} == {
        "charge_differs": "an audit only reports it",
        "unmatched_task": "an audit only reports it",
    }
    assert len(world.ledger.queries.find()) == 2
    assert world.ledger.queries.get(1) == order


def test_an_order_under_way_is_left_alone(world, order):
    """A video that an earlier repair fetches again is neither found nor repaired twice."""
    world.ledger.repairs.fetch_again(order, actor="another", video_url="u", reason="r")
    assert world.repair(deep=True) == {}


def test_a_missing_order_is_restored_from_its_manifest(world, order):
    """Everything that a manifest holds is as before, and a second audit is clean."""
    remove_row(world.ledger, 1)
    [result] = world.repair(deep=True).values()
    assert (result.repaired, result.message) == (
        True,
        "order 1 was restored: its manifest and the vendor's task agree",
    )
    now = world.ledger.queries.get(1)
    assert (now.state, reported(world), now.task_id) == (State.STORED, "stored", order.task_id)
    different = {name for name, value in vars(order).items() if vars(now)[name] != value}
    assert different <= {"retries", "claimed_at", "request"}  # the restored request has every field
    assert actors(world) == ["test", "audit 1"]
    assert world.kinds(deep=True) == []


def test_a_restored_order_that_dagster_does_not_know_is_reported_by_the_next_run(world):
    """An order without an event in Dagster is not marked as reported."""
    remove_row(world.ledger, 1)
    world.dagster.events = [event_of(world.ledger.queries.get(2))]
    assert world.repair()["missing_order"].repaired
    assert reported(world) is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("no manifest", "there is no manifest to restore it from"),
        ("request", "its manifest was altered"),
        ("charge", "other sources contradict its manifest: seedance/points_consumed, the vendor's charge"),
        ("bytes", "other sources contradict its manifest: the video hashes to"),
        ("video", "other sources contradict its manifest: its video is not in S3"),
    ],
)
def test_a_manifest_that_other_sources_contradict_restores_nothing(world, order, damage, reason):
    """A manifest alone proves nothing: bytes, charge and Dagster's event must not contradict it."""
    manifest = json.loads(world.store.objects[order.manifest_key])
    match damage:
        case "no manifest":
            del world.store.objects[order.manifest_key]
        case "request":
            manifest["request"]["input"]["mode"] = "none such"
            world.store.objects[order.manifest_key] = json.dumps(manifest).encode()
        case "charge":
            world.store.objects[order.manifest_key] = rewritten(order, points_charged=1)
        case "bytes":
            world.store.objects[order.video_key] = VIDEO[::-1]
        case "video":
            del world.store.objects[order.video_key]
    remove_row(world.ledger, 1)
    [result] = [result for kind, result in world.repair(deep=True).items() if kind == "missing_order"]
    assert not result.repaired
    assert result.message.startswith(reason)
    assert [order.order_id for order in world.ledger.queries.find()] == [2]


def test_two_repairs_at_once_repair_an_order_once(world, order):
    """An order that changed between audit and repair is left to whoever changed it."""
    del world.store.objects[order.video_key]
    audit = world.audit()
    world.ledger.repairs.fetch_again(order, actor="another", video_url="u", reason="r")
    world.audit = lambda **_: replace(audit)
    [result] = world.repair().values()
    assert not result.repaired
    assert result.message == "the order changed during the audit: run it again"
