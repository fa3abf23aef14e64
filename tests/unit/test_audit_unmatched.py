"""Missing orders, unmatched tasks and unmatched objects."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from audit_snapshots import (
    POINTS,
    event_of,
    expected,
    findings,
    kinds,
    listed,
    make_snapshots,
    row,
    storage,
    stored_order,
)
from factories import NOW, make_order, make_task

from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.audit.compare import compare
from seedance_dagster.audit.snapshots import (
    InspectedObject,
    Scope,
    Snapshots,
    VendorSnapshot,
)
from seedance_dagster.audit.storage import expected_manifest
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.storage.objects import ListedObject

LOST = stored_order(1)
KEPT = stored_order(2)
JOURNAL = MissingOrder(1, NOW - timedelta(hours=3), "task-1", LOST.video_key, POINTS)
EVENT = event_of(LOST)


def without_row(*left: str) -> Snapshots:
    """Return snapshots in which an order has no row and only some evidence is left of it."""
    body = expected_manifest(LOST) if "manifest" in left else None
    objects = listed(KEPT)
    if "video" in left:
        objects |= listed(LOST)
    snapshots = make_snapshots([KEPT])
    reported = {"task-1": EVENT} if "event" in left else {}
    newest = {("spots", "p1"): EVENT} if "event" in left else {}
    return replace(
        snapshots,
        ledger=replace(snapshots.ledger, missing_orders=(JOURNAL,) if "journal" in left else ()),
        vendor=VendorSnapshot(
            history={**snapshots.vendor.history, **({"task-1": row(LOST)} if "task" in left else {})}
        ),
        storage=storage(
            [],
            objects=objects,
            inspected={LOST.manifest_key: InspectedObject(body=body)} if body else {LOST.manifest_key: None},
        ),
        dagster=replace(
            snapshots.dagster,
            newest={**snapshots.dagster.newest, **newest},
            reported={**snapshots.dagster.reported, **reported},
        ),
    )


@pytest.mark.parametrize(
    ("left", "location", "evidence"),
    [
        (
            ("video", "manifest", "event", "task", "journal"),
            f"s3://videos/{LOST.manifest_key}",
            "objects in S3, its manifest, a materialization, a task at the vendor, its journal",
        ),
        (("video", "manifest"), f"s3://videos/{LOST.manifest_key}", "objects in S3, its manifest"),
        (("task", "journal"), "order 1", "objects in S3, a task at the vendor, its journal"),
        (("video", "journal"), "order 1", "objects in S3, its journal"),
        (("event", "task"), "task task-1", "a materialization, a task at the vendor"),
        (("event",), "task task-1", "a materialization"),
    ],
)
def test_a_missing_order_is_one_finding_whatever_is_left_of_it(left, location, evidence):
    """The evidence in all other sources is joined by task id into one finding."""
    [finding] = findings(without_row(*left))
    assert (finding.kind.value, finding.location) == ("missing_order", location)
    assert finding.message == f"its row is missing from the ledger; left are {evidence}"
    assert finding.task_id == "task-1"
    assert finding.cost_points == POINTS
    assert ("--repair" in finding.advice) == ("manifest" in left)


def test_a_missing_order_without_a_task_is_found_by_its_journal():
    """Of a queued order whose row is missing only the journal is left."""
    snapshots = make_snapshots([KEPT])
    queued = MissingOrder(7, NOW)
    [finding] = findings(replace(snapshots, ledger=replace(snapshots.ledger, missing_orders=(queued,))))
    assert (finding.kind.value, finding.order_id, finding.task_id) == ("missing_order", 7, None)


@pytest.mark.parametrize(
    ("scope", "is_finding"),
    [
        ({"prompt_set": "spots"}, True),
        ({"prompt_set": "others"}, False),
        ({"since": NOW - timedelta(hours=4)}, True),
        ({"since": NOW - timedelta(hours=1)}, False),
    ],
)
def test_missing_orders_are_found_within_the_scope(scope, is_finding):
    """An audit of a set finds its own missing orders, `--since` those ordered since."""
    snapshots = without_row("video", "manifest", "event", "task", "journal")
    assert kinds(snapshots, **scope) == ["missing_order"] * is_finding


def test_objects_that_belong_to_no_order_are_a_finding():
    """A folder that no order, manifest or journal mentions is left to a person."""
    [finding] = findings(without_row("video"))
    assert (finding.kind.value, finding.location) == (
        "unmatched_object",
        f"s3://videos/{LOST.video_key.rpartition('/')[0]}",
    )
    assert "never deletes" in finding.advice


def test_a_copied_manifest_is_not_evidence_of_a_missing_order():
    """A copy of a stored video under another partition is an unmatched object."""
    copy = {f"seedance/spots/copy/{'0' * 12}-a1/manifest.json": ListedObject(9, "", NOW)}
    body = expected_manifest(KEPT)
    inspected = {next(iter(copy)): InspectedObject(body=body)}
    snapshots = replace(
        make_snapshots([KEPT]), storage=storage([KEPT], objects=listed(KEPT) | copy, inspected=inspected)
    )
    assert kinds(snapshots) == ["unmatched_object"]


def test_other_objects_under_the_prefix_are_ignored():
    """The index of a set and the object that checks for write access are not videos."""
    others = {
        key: ListedObject(1, "", NOW)
        for key in (
            "seedance/spots/index/_manifest.json",
            "seedance/spots/index/part-00001.parquet",
            "seedance/spots/index.jsonl",
            "seedance/.writable",
        )
    }
    snapshots = replace(make_snapshots([KEPT]), storage=storage([KEPT], objects=listed(KEPT) | others))
    assert findings(snapshots) == []


def test_the_uploads_of_an_order_under_way_are_its_own():
    """The objects of a video that is being stored belong to its order."""
    fetching = stored_order(1, state=State.SUCCEEDED, due_at=NOW, video_key=None)
    assert findings(replace(make_snapshots([fetching]), storage=storage([LOST]))) == []


def test_an_unmatched_task_is_a_finding_with_its_cost():
    """A task that no order owns and no other source mentions was created by another program."""
    snapshots = make_snapshots([KEPT], vendor=VendorSnapshot(history={"task-2": row(KEPT), "foreign": row()}))
    [finding] = findings(snapshots)
    assert (finding.kind.value, finding.task_id, finding.cost_points) == ("unmatched_task", "foreign", POINTS)
    assert finding.message == "seedance-2-fast, finished, created 2026-04-06 17:00 UTC, 0.40 USD"
    assert "reconcile" in finding.advice
    assert kinds(snapshots, prompt_set="spots") == []
    assert kinds(snapshots, since=NOW) == []


@pytest.mark.parametrize(
    ("state", "text", "age", "advice"),
    [
        (State.UNCERTAIN, "a cat", timedelta(minutes=1), None),
        (State.CLAIMED, "a cat", timedelta(minutes=1), None),
        (State.UNCERTAIN, "a cat", timedelta(minutes=31), "run reconcile 3 --adopt foreign"),
        (State.UNCERTAIN, "a dog", timedelta(minutes=1), "find out who used the API key"),
        (State.QUEUED, "a cat", timedelta(minutes=1), "find out who used the API key"),
    ],
)
def test_a_task_that_may_belong_to_an_uncertain_order_is_under_way(state, text, age, advice):
    """The next reconciliation adopts it; if it does not, a person is asked to."""
    task = make_task(1, TaskStatus.COMPLETED, task_id="foreign", created_at=NOW - age)
    task = task.model_copy(update={"input": {**task.input, "prompt": text}})
    order = make_order(3, state=state, task_id=None, ordered_at=NOW - timedelta(hours=1))
    rows = {"foreign": row(created_at=NOW - age)}
    result = findings(make_snapshots([order], vendor=VendorSnapshot(history=rows, tasks={"foreign": task})))
    assert [finding.kind.value for finding in result] == ["unmatched_task"] * (advice is not None)
    assert all(finding.advice.startswith(str(advice)) for finding in result)


@pytest.mark.parametrize(
    ("mark", "advice"),
    [
        ("1b4e28ba2fa1-3-65f2", "run reconcile 3 --adopt"),
        ("1b4e28ba2fa1-4-65f2", "find out who used the API key"),
    ],
)
def test_a_task_with_another_mark_is_not_advised_for_an_order(mark, advice):
    """An equal task that another order's POST made is nothing to adopt."""
    age = timedelta(minutes=31)
    task = make_task(1, TaskStatus.COMPLETED, task_id="foreign", created_at=NOW - age, mark=mark)
    order = make_order(
        3,
        state=State.UNCERTAIN,
        mark="1b4e28ba2fa1-3-65f2",
        task_id=None,
        ordered_at=NOW - timedelta(hours=1),
    )
    rows = {"foreign": row(created_at=NOW - age)}
    [finding] = findings(
        make_snapshots([order], vendor=VendorSnapshot(history=rows, tasks={"foreign": task}))
    )
    assert finding.advice.startswith(advice)


def test_a_task_of_another_sets_order_is_not_unmatched():
    """An audit of one set knows which tasks orders of other sets own."""
    snapshots = make_snapshots([KEPT])
    ledger = replace(snapshots.ledger, owned_tasks=frozenset({"task-2", "other"}))
    snapshots = replace(
        snapshots,
        ledger=ledger,
        vendor=VendorSnapshot(history={"task-2": row(KEPT), "other": row(task_id="other")}),
    )
    assert compare(snapshots, Scope(prompt_set="spots"), expected) == ()
