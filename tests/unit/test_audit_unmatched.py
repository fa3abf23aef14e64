"""What no order explains: removed rows, tasks and objects that nobody ordered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from audit_snapshots import POINTS, books, expected, found, kinds, listed, row, storage, stored_order, telling
from ledger_states_support import NOW, make_order, make_task

from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.audit.audit import compare
from seedance_dagster.audit.manifests import expected_manifest
from seedance_dagster.audit.snapshots import (
    DagsterSnapshot,
    LedgerSnapshot,
    Scope,
    Seen,
    Snapshots,
    VendorSnapshot,
)
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.storage.s3 import ListedObject

GONE = stored_order(1)
KEPT = stored_order(2)
JOURNAL = MissingOrder(1, NOW - timedelta(hours=3), "task-1", GONE.video_key, POINTS)
TELLING = telling(GONE)


def without_its_row(*left: str) -> Snapshots:
    """Snapshots in which an order has no row, and only some traces are left of it."""
    body = expected_manifest(GONE) if "manifest" in left else None
    objects = listed(KEPT)
    if "video" in left:
        objects |= listed(GONE)
    given = books([KEPT])
    told = {"task-1": TELLING} if "telling" in left else {}
    newest = {("spots", "p1"): TELLING} if "telling" in left else {}
    return replace(
        given,
        ledger=replace(given.ledger, removed=(JOURNAL,) if "journal" in left else ()),
        vendor=VendorSnapshot(
            rows={**given.vendor.rows, **({"task-1": row(GONE)} if "task" in left else {})}
        ),
        storage=storage(
            [],
            objects=objects,
            seen={GONE.manifest_key: Seen(body=body)} if body else {GONE.manifest_key: None},
        ),
        dagster=DagsterSnapshot(
            newest={**given.dagster.newest, **newest}, told={**given.dagster.told, **told}
        ),
    )


@pytest.mark.parametrize(
    ("left", "where", "named"),
    [
        (
            ("video", "manifest", "telling", "task", "journal"),
            f"s3://videos/{GONE.manifest_key}",
            "objects in S3, its manifest, a materialization, a task at the vendor, its journal",
        ),
        (("video", "manifest"), f"s3://videos/{GONE.manifest_key}", "objects in S3, its manifest"),
        (("task", "journal"), "order 1", "objects in S3, a task at the vendor, its journal"),
        (("video", "journal"), "order 1", "objects in S3, its journal"),
        (("telling", "task"), "task task-1", "a materialization, a task at the vendor"),
        (("telling",), "task task-1", "a materialization"),
    ],
)
def test_a_removed_row_is_one_finding_whatever_is_left_of_it(left, where, named):
    """Traces in all other books are one finding, brought together by the task id."""
    [each] = found(without_its_row(*left))
    assert (each.kind.value, each.where) == ("missing_order", where)
    assert each.what == f"its row is gone from the ledger; left are {named}"
    assert each.task_id == "task-1"
    assert each.cost_points == POINTS
    assert ("--repair" in each.advice) == ("manifest" in left)


def test_an_order_that_never_had_a_task_is_missed_as_well():
    """The journal alone tells of a queued order whose row is gone."""
    given = books([KEPT])
    queued = MissingOrder(7, NOW)
    [each] = found(replace(given, ledger=replace(given.ledger, removed=(queued,))))
    assert (each.kind.value, each.order_id, each.task_id) == ("missing_order", 7, None)


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ({"prompt_set": "spots"}, True),
        ({"prompt_set": "others"}, False),
        ({"since": NOW - timedelta(hours=4)}, True),
        ({"since": NOW - timedelta(hours=1)}, False),
    ],
)
def test_removed_rows_are_found_within_the_scope(scope, named):
    """A set's audit names what was its own, `since` what was ordered since."""
    given = without_its_row("video", "manifest", "telling", "task", "journal")
    assert kinds(given, **scope) == ["missing_order"] * named


def test_objects_without_any_trace_are_named_and_left_alone():
    """A folder that no order, manifest or journal explains is somebody's to look at."""
    [each] = found(without_its_row("video"))
    assert (each.kind.value, each.where) == (
        "unmatched_object",
        f"s3://videos/{GONE.video_key.rpartition('/')[0]}",
    )
    assert "never deletes" in each.advice


def test_a_manifest_that_lies_elsewhere_vouches_for_nothing():
    """A copy of a stored video under another partition is no removed row of that partition."""
    copy = {f"seedance/spots/copy/{'0' * 12}-a1/manifest.json": ListedObject(9, "", NOW)}
    body = expected_manifest(KEPT)
    seen = {next(iter(copy)): Seen(body=body)}
    given = replace(books([KEPT]), storage=storage([KEPT], objects=listed(KEPT) | copy, seen=seen))
    assert kinds(given) == ["unmatched_object"]


def test_other_objects_under_the_prefix_are_nobodys_business():
    """The index of a set and the check for writing are no videos."""
    others = {
        key: ListedObject(1, "", NOW)
        for key in ("seedance/spots/index.jsonl", "seedance/spots/index.parquet", "seedance/.writable")
    }
    given = replace(books([KEPT]), storage=storage([KEPT], objects=listed(KEPT) | others))
    assert found(given) == []


def test_what_an_order_under_way_has_uploaded_is_its_own():
    """Parts of a video that is being fetched lie where the order will have them."""
    fetching = stored_order(1, state=State.SUCCEEDED, due_at=NOW, video_key=None)
    assert found(replace(books([fetching]), storage=storage([GONE]))) == []


def test_a_task_that_nobody_ordered_is_named_with_its_cost():
    """A task that no order owns and no other book mentions was made by somebody else."""
    given = books([KEPT], vendor=VendorSnapshot(rows={"task-2": row(KEPT), "stranger": row()}))
    [each] = found(given)
    assert (each.kind.value, each.task_id, each.cost_points) == ("unmatched_task", "stranger", POINTS)
    assert each.what == "seedance-2-fast, finished, made 2026-04-06 17:00 UTC, 0.4 USD"
    assert "reconcile" in each.advice
    assert kinds(given, prompt_set="spots") == []
    assert kinds(given, since=NOW) == []


@pytest.mark.parametrize(
    ("state", "text", "made_ago", "advice"),
    [
        (State.UNCERTAIN, "a cat", timedelta(minutes=1), None),
        (State.CLAIMED, "a cat", timedelta(minutes=1), None),
        (State.UNCERTAIN, "a cat", timedelta(minutes=31), "reconcile 3 --adopt stranger"),
        (State.UNCERTAIN, "a dog", timedelta(minutes=1), "find out who used the API key"),
        (State.QUEUED, "a cat", timedelta(minutes=1), "find out who used the API key"),
    ],
)
def test_a_task_that_may_answer_a_lost_post_is_under_way(state, text, made_ago, advice):
    """The next reconciliation adopts it; only when it did not for long is a person asked to."""
    task = make_task(1, TaskStatus.COMPLETED, task_id="stranger", created_at=NOW - made_ago)
    task = task.model_copy(update={"input": {**task.input, "prompt": text}})
    order = make_order(3, state=state, task_id=None, ordered_at=NOW - timedelta(hours=1))
    rows = {"stranger": row(created_at=NOW - made_ago)}
    given = found(books([order], vendor=VendorSnapshot(rows=rows, tasks={"stranger": task})))
    assert [each.kind.value for each in given] == ["unmatched_task"] * (advice is not None)
    assert all(each.advice.startswith(str(advice)) for each in given)


def test_a_task_of_another_sets_order_is_no_stranger():
    """Where one set is audited, the ledger is asked for the owners of all other tasks."""
    given = books([KEPT], ledger=LedgerSnapshot(orders=(KEPT,), owned_tasks=frozenset({"task-2", "other"})))
    given = replace(given, vendor=VendorSnapshot(rows={"task-2": row(KEPT), "other": row(task_id="other")}))
    assert compare(given, Scope(prompt_set="spots"), expected) == ()
