"""The ledger against the vendor's history and tasks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from audit_snapshots import POINTS, books, found, kinds, row, stored_order
from ledger_states_support import NOW, make_order, make_task

from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.audit.snapshots import GRACE, LedgerSnapshot, Scope, VendorSnapshot
from seedance_dagster.audit.vendor import needs_verification
from seedance_dagster.ledger.order import State

LONG_AGO, JUST_NOW = NOW - 2 * GRACE, NOW - GRACE / 2
DONE = TaskStatus.COMPLETED


def test_books_that_agree_have_no_findings():
    """Three stored orders that all four books know alike are clean, deep or not."""
    given = books([stored_order(1), stored_order(2), stored_order(3)])
    assert found(given) == []
    assert found(given, deep=True) == []


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
    """What the vendor's task says was charged is what the ledger says; a delivered video is never free."""
    order = stored_order(1, state=state, points_charged=booked)
    task = make_task(1, TaskStatus.FAILED, points_charged=charged)
    given = books([order], vendor=VendorSnapshot(rows={"task-1": row(order)}, tasks={"task-1": task}))
    expected = [] if kind is None else [(kind, cost)]
    about_money = [each for each in found(given) if each.kind.value in ("charge_differs", "never_charged")]
    assert [(each.kind.value, each.cost_points) for each in about_money] == expected


def test_the_history_tells_a_charge_that_the_task_does_not():
    """A task without a charge leaves the history's word standing."""
    order = stored_order(1, points_charged=None)
    task = make_task(1, DONE, points_charged=None)
    vendor = VendorSnapshot(rows={"task-1": row(order, points=5_000_000)}, tasks={"task-1": task})
    [wrong] = found(books([order], vendor=vendor))
    assert (wrong.kind.value, wrong.cost_points) == ("charge_differs", 5_000_000)


@pytest.mark.parametrize(
    ("order", "rows", "deep", "reads"),
    [
        (stored_order(1), {"points": POINTS}, False, False),
        (stored_order(1), {"points": POINTS + 1}, False, True),
        (stored_order(1), {"points": None}, False, False),
        (stored_order(1), {"points": None}, True, True),
        (stored_order(1, points_charged=None), {"points": POINTS}, False, True),
        (stored_order(1, state=State.REJECTED, points_charged=0), {"points": 0}, False, False),
        (stored_order(1, state=State.SUBMITTED), {"status": "running"}, False, False),
        (stored_order(1, state=State.SUBMITTED), {"status": "Finished\t"}, False, True),
        (stored_order(1, state=State.FAILED, task_id=None), {}, False, False),
        (stored_order(1, state=State.UNCERTAIN), {"points": 1}, False, False),
    ],
)
def test_a_task_is_read_by_itself_only_where_the_history_differs(order, rows, deep, reads):
    """One page of the history stands for a hundred tasks; only what differs costs a request."""
    book = VendorSnapshot(rows={"task-1": row(order, **rows)})
    assert needs_verification(order, book, listed_from=NOW - timedelta(days=1), deep=deep) is reads


@pytest.mark.parametrize(
    ("listed_from", "reads"),
    [(NOW - timedelta(days=1), True), (NOW - timedelta(hours=1), False), (None, False)],
)
def test_a_task_that_the_history_forgot_is_not_asked_for(listed_from, reads):
    """A task that is not listed is read where the history lists older ones; expired history says nothing."""
    order = stored_order(1)
    assert needs_verification(order, VendorSnapshot(rows={}), listed_from=listed_from) is reads


def test_an_incomplete_history_lists_nothing_for_sure():
    """Where the history counts more than it lists, the absence of a task is no sign."""
    rows = {"a": row(created_at=NOW), "b": row(created_at=NOW - timedelta(days=1))}
    assert VendorSnapshot(rows=rows).listed_from() == NOW - timedelta(days=1)
    assert VendorSnapshot(rows=rows, doubt="it counts 3 and lists 2").listed_from() is None


def test_a_task_that_the_vendor_does_not_know_is_named():
    """An order whose task is neither in the history nor found by itself is a finding of its own."""
    given = books([stored_order(1)], vendor=VendorSnapshot(tasks={"task-1": None}))
    [each] = found(given)
    assert (each.kind.value, each.cost_points, each.task_id) == ("task_unknown", POINTS, "task-1")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"due_at": LONG_AGO}, True),
        ({"due_at": JUST_NOW}, False),
        ({"due_at": NOW + timedelta(minutes=10), "transfer_failures": 4}, False),
        ({"due_at": NOW + timedelta(minutes=10), "transfer_failures": 5}, True),
    ],
)
def test_a_paid_video_that_nobody_fetches_is_named(fields, named):
    """A finished order is under way for half an hour, or until its transfer broke again and again."""
    order = stored_order(1, state=State.SUCCEEDED, error_message="the link broke", **fields)
    given = found(books([order]))
    assert [each.kind.value for each in given] == ["paid_not_stored"] * named
    assert all("the link broke" in each.what for each in given)


@pytest.mark.parametrize(
    ("state", "task", "named"),
    [
        (State.SUBMITTED, make_task(1, DONE, ended_at=LONG_AGO, points_charged=POINTS), True),
        (State.SUBMITTED, make_task(1, DONE, ended_at=JUST_NOW, points_charged=POINTS), False),
        (State.SUBMITTED, make_task(1, TaskStatus.PROCESSING), False),
        (State.FAILED, make_task(1, DONE, points_charged=POINTS), True),
        (State.REJECTED, make_task(1, TaskStatus.FAILED, points_charged=POINTS), False),
    ],
)
def test_a_task_that_ended_otherwise_than_the_ledger_says_is_named(state, task, named):
    """A video that the vendor completed and charged is never taken for waiting, failed or refused."""
    order = stored_order(1, state=state, points_charged=POINTS)
    given = books([order], vendor=VendorSnapshot(rows={"task-1": row(order)}, tasks={"task-1": task}))
    assert kinds(given) == ["paid_not_stored"] * named


@pytest.mark.parametrize("state", [State.QUEUED, State.CLAIMED, State.UNCERTAIN, State.SUBMITTED])
def test_work_under_way_is_no_finding(state):
    """An order that is waiting, being sent, in doubt or at the vendor is nothing to look into."""
    task = {"task_id": None} if state is not State.SUBMITTED else {}
    assert found(books([make_order(1, state=state, **task)])) == []


def test_what_could_not_be_read_is_named_once_and_blames_nobody():
    """A history that cannot be read, and tasks that were not, are one finding about the book."""
    order = stored_order(1)
    doubt = VendorSnapshot(
        rows={"task-1": row(order, points=1)}, unread=frozenset({"task-1"}), doubt="it is down"
    )
    [each] = found(books([order], vendor=doubt))
    assert (each.kind.value, each.what, each.cost_points) == ("source_unavailable", "it is down", 0)


def test_only_what_was_ordered_since_a_day_is_compared():
    """An order before `since` is not audited, but what it left is not a stranger's either."""
    order = stored_order(1)
    given = books(
        [order], vendor=VendorSnapshot(rows={"task-1": row(order, points=1)}, tasks={"task-1": None})
    )
    assert kinds(given) == ["task_unknown"]
    assert kinds(given, since=NOW - timedelta(hours=1)) == []
    assert Scope(since=NOW).is_since(None)
    assert LedgerSnapshot().orders == ()
