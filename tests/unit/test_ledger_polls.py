"""Hints that move the next poll of a task, and the tasks that a page of the history is compared with."""

from __future__ import annotations

from datetime import timedelta

import pytest

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.work.polls import HEAD_START

pytestmark = pytest.mark.each_database


def lease(ledger, worker="y"):
    return ledger.tasks.lease_due(worker, State.SUBMITTED, limit=9, lease_s=3600)


@pytest.fixture
def running(ledger, orders, clock):
    """Makes running tasks whose next polls are due in the given seconds; returns their ids."""

    def make(**due_s: float) -> list[str]:
        made = orders.make_many(State.SUBMITTED, *due_s)
        lease(ledger, "x")
        for order, seconds in zip(made, due_s.values(), strict=True):
            leased = ledger.queries.get(order.order_id)
            ledger.tasks.polled(leased, due_at=clock() + timedelta(seconds=seconds), task={})
        return [str(order.task_id) for order in made]

    return make


def test_a_hint_moves_one_poll_and_nothing_else(ledger, orders, clock, running):
    """A hint moves one poll, once; not that of an unknown, ended or leased task."""
    [task] = running(a=600)
    over = orders.make(State.SUCCEEDED, "b")
    assert ledger.polls.first([]) == []
    assert ledger.polls.first(["unknown", str(over.task_id)]) == []
    assert lease(ledger) == []
    [moved] = ledger.polls.first([task])
    clock.forward(seconds=30)
    assert ledger.polls.first([task]) == []
    assert ledger.queries.get(over.order_id) == over
    [taken] = lease(ledger)
    assert (taken.order_id, taken.state, taken.task_id) == (moved, State.SUBMITTED, task)
    assert ledger.polls.first([task]) == []
    assert ledger.queries.get(moved) == taken


def test_a_hinted_task_is_polled_before_those_that_have_waited_for_less_than_an_hour(ledger, clock, running):
    """A hinted task is polled first, but not before tasks that have waited for an hour."""
    forgotten, due, hinted = running(forgotten=0, due=1800, hinted=4000)
    clock.forward(seconds=HEAD_START.total_seconds() + 1)
    ledger.polls.first([hinted])
    assert [order.task_id for order in lease(ledger)] == [forgotten, hinted, due]


def test_a_poll_is_postponed_but_never_moved_forward_nor_behind_a_hint(ledger, clock, running):
    """A poll is postponed, but never moved forward, nor after a hint that the task ended."""
    early, late, hinted = running(early=10, late=900, hinted=20)
    ledger.polls.first([hinted])
    ledger.polls.later([early, late, hinted, "unknown"], clock() + timedelta(seconds=600))
    ledger.polls.later([], clock() + timedelta(seconds=600))
    assert [order.task_id for order in lease(ledger, "now")] == [hinted]
    clock.forward(seconds=601)
    assert [order.task_id for order in lease(ledger, "soon")] == [early]
    ledger.polls.later([early], clock() + timedelta(seconds=600))  # its worker has it
    clock.forward(seconds=300)
    assert [order.task_id for order in lease(ledger, "later")] == [late]


def test_running_tasks_are_known_by_when_they_were_made(ledger, orders, clock):
    """Those of the account that are old enough; tasks made in a span are counted whatever became of them."""
    made = [clock() + timedelta(seconds=seconds) for seconds in (0, 100, 200)]
    for number, at in enumerate(made):
        state = State.STORED if number == 2 else State.SUBMITTED
        order = orders.place(f"p{number}")[0]
        [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None, only=[order.order_id])
        ledger.claims.mark_sent(claimed, account="mine", mark=None)
        orders.advance(claimed, state, task={"vendor_created_at": at})
    now = clock()
    assert sorted(ledger.polls.running("mine", submitted_before=now)) == made[:2]
    assert ledger.polls.running("mine", submitted_before=now - timedelta(days=1)) == []
    assert ledger.polls.running("another", submitted_before=now) == []
    assert ledger.polls.made("mine", made[1], made[2]) == 2
    assert ledger.polls.made("another", made[0], made[2]) == 0


def test_the_tasks_of_a_page_are_known_with_their_next_poll_or_their_end(ledger, orders, clock, running):
    """A task whose end was seen has no next poll."""
    [task] = running(a=600)
    over = orders.make(State.STORED, "b", outcome={"vendor_ended_at": clock()})
    tasks = ledger.polls.followed([task, str(over.task_id), "unknown"])
    assert set(tasks) == {task, over.task_id}
    assert (tasks[task].due_at, tasks[task].ended_at) == (clock() + timedelta(seconds=600), None)
    assert (tasks[over.task_id].due_at, tasks[over.task_id].ended_at) == (None, clock())
    assert tasks[task].submitted_at is not None
