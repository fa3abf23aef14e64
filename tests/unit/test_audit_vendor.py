"""The ledger against the vendor's history and tasks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from audit_snapshots import POINTS, findings, kinds, make_snapshots, row, stored_order
from factories import NOW, make_order, make_task

from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.audit.snapshots import GRACE, LedgerSnapshot, Scope, VendorSnapshot
from seedance_dagster.audit.vendor import needs_verification
from seedance_dagster.ledger.order import State

LONG_AGO, JUST_NOW = NOW - 2 * GRACE, NOW - GRACE / 2
DONE = TaskStatus.COMPLETED


def test_sources_that_agree_give_no_findings():
    """Three stored orders about which all four sources agree are clean, deep or not."""
    snapshots = make_snapshots([stored_order(1), stored_order(2), stored_order(3)])
    assert findings(snapshots) == []
    assert findings(snapshots, deep=True) == []


@pytest.mark.parametrize(
    ("state", "booked", "charged", "kind", "cost"),
    [
        (State.STORED, POINTS, POINTS, None, 0),
        (State.STORED, POINTS, 2 * POINTS, "charge_differs", POINTS),
        (State.STORED, POINTS, POINTS // 2, "charge_differs", -POINTS // 2),
        (State.STORED, None, POINTS, "charge_differs", POINTS),
        (State.STORED, POINTS, 0, "never_charged", 4_000_000),
        (State.STORED, 0, 0, "never_charged", 4_000_000),
        (State.STORED, None, None, "charge_differs", POINTS),
        (State.STORED, POINTS, None, None, 0),
        (State.SUCCEEDED, 0, 0, "never_charged", 4_000_000),
        (State.REJECTED, 0, 0, None, 0),
        (State.REJECTED, None, 0, None, 0),
        (State.REJECTED, 40_000, 40_000, None, 0),
        (State.REJECTED, 0, 40_000, "charge_differs", 40_000),
        (State.FAILED, 0, POINTS, "charge_differs", POINTS),
        (State.SUBMITTED, None, POINTS, None, 0),
    ],
)
def test_charges_of_ended_orders_are_compared(state, booked, charged, kind, cost):
    """The ledger has the charge that the vendor's task has; a delivered video is never free."""
    order = stored_order(1, state=state, points_charged=booked)
    task = make_task(1, TaskStatus.FAILED, points_charged=charged)
    snapshots = make_snapshots(
        [order], vendor=VendorSnapshot(history={"task-1": row(order)}, tasks={"task-1": task})
    )
    expected = [] if kind is None else [(kind, cost)]
    result = findings(snapshots)
    about_money = [finding for finding in result if finding.kind.value in ("charge_differs", "never_charged")]
    assert [(finding.kind.value, finding.cost_points) for finding in about_money] == expected


def test_the_history_may_have_a_charge_that_the_task_does_not_have():
    """For a task without a charge, the charge in the history counts."""
    order = stored_order(1, points_charged=None)
    task = make_task(1, DONE, points_charged=None)
    vendor = VendorSnapshot(history={"task-1": row(order, points=5_000_000)}, tasks={"task-1": task})
    [finding] = findings(make_snapshots([order], vendor=vendor))
    assert (finding.kind.value, finding.cost_points) == ("charge_differs", 5_000_000)


@pytest.mark.parametrize(
    ("order", "rows", "deep", "reads"),
    [
        (stored_order(1), {"points": POINTS}, False, False),
        (stored_order(1), {"points": POINTS + 1}, False, True),
        (stored_order(1), {"points": None}, False, False),
        (stored_order(1), {"points": None}, True, True),
        (stored_order(1, points_charged=None), {"points": POINTS}, False, True),
        (
            stored_order(1, state=State.REJECTED, points_charged=0),
            {"points": 0, "status": "failed"},
            False,
            False,
        ),
        (stored_order(1, state=State.REJECTED, points_charged=0), {"points": 0}, False, True),
        (stored_order(1), {"status": "failed"}, False, True),
        (stored_order(1, state=State.SUBMITTED), {"status": "running"}, False, False),
        (stored_order(1, state=State.SUBMITTED), {"status": "Finished\t"}, False, True),
        (stored_order(1, state=State.FAILED, task_id=None), {}, False, False),
        (stored_order(1, state=State.UNCERTAIN), {"points": 1}, False, False),
    ],
)
def test_a_task_is_read_only_where_the_history_differs(order, rows, deep, reads):
    """One page of the history covers a hundred tasks; only what differs costs a request."""
    vendor = VendorSnapshot(history={"task-1": row(order, **rows)})
    assert needs_verification(order, vendor, complete_since=NOW - timedelta(days=1), deep=deep) is reads


@pytest.mark.parametrize(
    ("complete_since", "reads"),
    [(NOW - timedelta(days=1), True), (NOW - timedelta(hours=1), False), (None, False)],
)
def test_a_task_that_the_history_forgot_is_not_read(complete_since, reads):
    """A task that is not listed is read only if the history lists older ones."""
    order = stored_order(1)
    assert needs_verification(order, VendorSnapshot(history={}), complete_since=complete_since) is reads


def test_an_incomplete_history_proves_nothing():
    """The absence of a task means nothing when the history counts more tasks than it lists."""
    rows = {"a": row(created_at=NOW), "b": row(created_at=NOW - timedelta(days=1))}
    assert VendorSnapshot(history=rows).complete_since() == NOW - timedelta(days=1)
    assert VendorSnapshot(history=rows, problem="it counts 3 and lists 2").complete_since() is None


def test_a_task_that_the_vendor_does_not_know_is_a_finding():
    """An order whose task is neither in the history nor found by its id is a finding."""
    older = {"older": row(created_at=NOW - timedelta(days=1))}
    snapshots = make_snapshots(
        [stored_order(1)], vendor=VendorSnapshot(history=older, tasks={"task-1": None})
    )
    snapshots = replace(
        snapshots, ledger=replace(snapshots.ledger, owned_tasks=frozenset({"task-1", "older"}))
    )
    [finding] = findings(snapshots)
    assert (finding.kind.value, finding.cost_points, finding.task_id) == ("task_unknown", POINTS, "task-1")


@pytest.mark.parametrize(
    ("fields", "is_finding"),
    [
        ({"due_at": LONG_AGO}, True),
        ({"due_at": JUST_NOW}, False),
        ({"due_at": NOW + timedelta(minutes=10), "transfer_failures": 4}, False),
        ({"due_at": NOW + timedelta(minutes=10), "transfer_failures": 5}, True),
    ],
)
def test_a_paid_video_that_is_not_fetched_is_a_finding(fields, is_finding):
    """A finished order has half an hour, unless its transfer keeps failing."""
    order = stored_order(1, state=State.SUCCEEDED, error_message="the link broke", **fields)
    result = findings(make_snapshots([order]))
    assert [finding.kind.value for finding in result] == ["paid_not_stored"] * is_finding
    assert all("the link broke" in finding.message for finding in result)


@pytest.mark.parametrize(
    ("state", "task", "is_finding"),
    [
        (State.SUBMITTED, make_task(1, DONE, ended_at=LONG_AGO, points_charged=POINTS), True),
        (State.SUBMITTED, make_task(1, DONE, ended_at=JUST_NOW, points_charged=POINTS), False),
        (State.SUBMITTED, make_task(1, TaskStatus.PROCESSING), False),
        (State.FAILED, make_task(1, DONE, points_charged=POINTS), True),
        (State.REJECTED, make_task(1, TaskStatus.FAILED, points_charged=POINTS), False),
    ],
)
def test_a_completed_task_that_the_ledger_does_not_have_as_completed_is_a_finding(state, task, is_finding):
    """A video that the vendor completed and charged is never called pending, failed or rejected for long."""
    order = stored_order(1, state=state, points_charged=POINTS)
    snapshots = make_snapshots(
        [order], vendor=VendorSnapshot(history={"task-1": row(order)}, tasks={"task-1": task})
    )
    result = findings(snapshots)
    assert [finding.kind.value for finding in result] == ["paid_not_stored"] * is_finding
    fetched_later = "seedance_sensor is running"
    assert all((fetched_later in finding.advice) is (state is State.SUBMITTED) for finding in result)


@pytest.mark.parametrize("state", [State.QUEUED, State.CLAIMED, State.UNCERTAIN, State.SUBMITTED])
def test_work_under_way_is_not_a_finding(state):
    """An order that is queued, claimed, uncertain or submitted is not a finding."""
    task = {"task_id": None} if state is not State.SUBMITTED else {}
    assert findings(make_snapshots([make_order(1, state=state, **task)])) == []


def test_an_unavailable_source_is_one_finding_about_no_order():
    """An unreadable history, and tasks that were not read, are one finding about the vendor."""
    order = stored_order(1)
    vendor = VendorSnapshot(
        history={"task-1": row(order, points=1)}, unread=frozenset({"task-1"}), problem="it is down"
    )
    [finding] = findings(make_snapshots([order], vendor=vendor))
    assert (finding.kind.value, finding.message, finding.cost_points) == (
        "source_unavailable",
        "it is down",
        0,
    )


def test_only_orders_since_a_day_are_compared():
    """An order before `since` is not audited, and its task and files are not unmatched either."""
    order = stored_order(1)
    snapshots = make_snapshots(
        [order], vendor=VendorSnapshot(history={"task-1": row(order, points=1)}, tasks={"task-1": None})
    )
    assert kinds(snapshots) == ["task_unknown"]
    assert kinds(snapshots, since=NOW - timedelta(hours=1)) == []
    assert Scope(since=NOW).covers_time(None)
    assert LedgerSnapshot().orders == ()


@pytest.mark.parametrize(
    ("state", "status", "differs"),
    [
        (State.FAILED, TaskStatus.ENDED, False),
        (State.STORED, TaskStatus.ENDED, False),
        (State.SUCCEEDED, TaskStatus.ENDED, False),
        (State.SUBMITTED, TaskStatus.ENDED, True),
        (State.FAILED, TaskStatus.PROCESSING, True),
        (State.STORED, TaskStatus.FAILED, True),
    ],
)
def test_a_state_that_the_vendor_contradicts_is_found(state, status, differs):
    """A cancelled task ended without a video, and an expired one may have been stored before."""
    order = stored_order(1, state=state)
    task = make_task(1, status, points_charged=POINTS, ended_at=LONG_AGO)
    vendor = VendorSnapshot(history={"task-1": row(order)}, tasks={"task-1": task})
    names = [finding.kind.value for finding in findings(make_snapshots([order], vendor=vendor))]
    assert ("state_differs" in names) is differs
