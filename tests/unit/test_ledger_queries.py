"""The ledger's queries, counts, leases, pauses and reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from factories import read_prompts

from seedance_dagster.ledger.order import Reported, State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.ledger.work.render_times import Kind
from seedance_dagster.ledger.work.workload import Count

pytestmark = pytest.mark.each_database


def test_counts_give_orders_and_money_by_set_and_state(ledger, orders, new_order):
    """Counts add up orders, estimates, holds and charges in points."""
    orders.make(State.STORED, "a", held=0, charged=3_000_000)
    ledger.orders.place([new_order("b"), new_order("c")], OrderRequest(idempotency_key="c", run_id="r"))
    assert ledger.workload.counts() == {
        ("spots", State.STORED): Count(1, 4_000_000, 0, 3_000_000),
        ("spots", State.QUEUED): Count(2, 8_000_000, 0, 0),
    }


def test_actionable_counts_due_work_and_knows_when_the_next_is_due(ledger, new_order, clock):
    """Due work is counted by kind, with the time at which the next becomes due."""
    work = ledger.workload.actionable()
    assert (work.to_submit, work.to_collect, work.to_report, work.to_poll, work.next_due_at) == (
        *(0,) * 4,
        None,
    )
    ledger.orders.place([new_order(name) for name in "abcd"], OrderRequest(idempotency_key="c", run_id="r"))
    later = clock() + timedelta(seconds=9)
    for order, due in zip(
        ledger.claims.take("w", limit=3, max_in_flight=None), (clock(), clock(), later), strict=True
    ):
        ledger.tasks.submitted(order, actor="w", due_at=due, task={"task_id": order.partition})
    [a] = ledger.tasks.lease_due("w", State.SUBMITTED, limit=1)
    ledger.tasks.succeeded(a, actor="w", task={})
    work = ledger.workload.actionable()
    assert (work.to_submit, work.to_collect, work.to_report, work.to_poll) == (1, 1, 0, 1)
    assert work.next_due_at == later
    clock.forward(seconds=61)
    assert ledger.workload.actionable().to_report == 3


def test_actionable_counts_open_work_that_is_not_due(ledger, orders, clock):
    """A transfer that is retried later, and an order that was turned away, are open all the same."""
    orders.place("late")
    [late] = ledger.claims.take("w", limit=1, max_in_flight=None)
    ledger.claims.requeue(late, actor="w", due_at=clock() + timedelta(seconds=60), reason="429")
    orders.make_many(State.SUCCEEDED, "a", "b")
    [_] = ledger.tasks.lease_due("x", State.SUCCEEDED, limit=1)
    work = ledger.workload.actionable()
    assert (work.to_submit, work.to_collect, work.queued, work.finished) == (0, 1, 1, 2)


def superseded(ledger, *orders) -> list[bool]:
    return [link.superseded for order in orders for link in ledger.reports.links(order.order_id)]


def test_each_state_is_reported_once(ledger, orders, clock):
    """An order stays unreported until its state was reported; a living run gets a minute to report it."""
    order = orders.make(State.STORED)
    assert ledger.reports.unreported(9) == []
    clock.forward(seconds=61)
    [(unreported, link)] = ledger.reports.unreported(9)
    assert (unreported, link.partition) == (order, "cat")
    ledger.reports.mark_reported({link: Reported.SUBMITTED})
    assert len(ledger.reports.unreported(9)) == 1
    ledger.reports.mark_reported({link: Reported.STORED})
    assert ledger.reports.unreported(9) == []


@pytest.mark.parametrize("state", [State.REJECTED, State.FAILED])
def test_an_end_without_a_video_is_reported_once(ledger, orders, clock, state):
    """An end without a video is unreported until Dagster has it, unless another order replaces it."""
    order = orders.make(state)
    assert ledger.reports.unreported(9) == []
    clock.forward(seconds=61)
    [(unreported, link)] = ledger.reports.unreported(9)
    assert (unreported, ledger.workload.actionable().to_report) == (order, 1)
    ledger.reports.mark_reported({link: Reported.ENDED})
    assert ledger.reports.unreported(9) == []
    orders.make(state, "dog")
    orders.place("dog", fingerprint="edited")
    clock.forward(seconds=61)
    assert ledger.reports.unreported(9) == []


def test_the_end_of_an_attempt_with_another_one_is_not_reported(ledger, orders, clock):
    """The end of an attempt with a later one is not reported, since the last attempt decides."""
    orders.make(State.FAILED, retry_at=clock())
    clock.forward(seconds=61)
    assert ledger.reports.unreported(9) == []


def test_an_observed_video_is_reported_again_when_the_better_order_fails(ledger, orders, new_order, clock):
    """An observation becomes the partition's materialization once no better order is coming."""
    older = orders.make(State.STORED)
    [(newer, _)] = ledger.orders.place(
        [new_order(fingerprint="edited")], OrderRequest(idempotency_key="c", run_id="r")
    )
    [link] = ledger.reports.links(older.order_id)
    ledger.reports.mark_reported({link: Reported.OBSERVED})
    clock.forward(seconds=61)
    assert (superseded(ledger, older), ledger.reports.unreported(9)) == ([True], [])
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None, only=[newer.order_id])
    ledger.tasks.ended(claimed, State.FAILED, actor="w", error_class="x", reason="because", task={})
    assert superseded(ledger, older) == [False]
    assert [order.order_id for order, _ in ledger.reports.unreported(9)] == [older.order_id]


def test_the_latest_order_of_each_partition_is_the_newest(ledger, orders):
    """An edited prompt's newer order stands for its partition, and supersedes the older."""
    older = orders.make(State.STORED)
    newer = orders.make(State.STORED, fingerprint="edited")
    orders.make(State.STORED, prompt_set="other")
    assert {name: order.order_id for name, order in ledger.queries.latest("spots").items()} == {
        "cat": newer.order_id
    }
    assert superseded(ledger, older, newer) == [True, False]


def test_an_order_of_the_current_prompt_is_superseded_by_nothing_newer(ledger, orders):
    """After an edit was reverted the first video stands again, though another was made since."""
    first, edited = (
        orders.make(State.STORED, fingerprint="1"),
        orders.make(State.STORED, fingerprint="2"),
    )
    read_prompts(ledger, "spots", {"cat": "1", "dog": "2"})
    read_prompts(ledger, "other", {"cat": "2"})
    assert superseded(ledger, first, edited) == [False, True]


def test_orders_are_found_by_set_state_and_task(ledger, orders):
    """Set, state, task id and limit narrow a search."""
    first = orders.make(State.STORED, "a")
    orders.make(State.STORED, "b")
    orders.make(State.STORED, "a", prompt_set="other")
    assert [order.partition for order in ledger.queries.find(prompt_set="spots")] == ["a", "b"]
    assert len(ledger.queries.find(states={State.STORED}, limit=2)) == 2
    assert [order.order_id for order in ledger.queries.find(task_id=str(first.task_id))] == [first.order_id]
    assert [order.order_id for order in ledger.queries.get_many([first.order_id, 999])] == [first.order_id]
    with pytest.raises(KeyError):
        ledger.queries.get(999)


def test_the_expected_time_is_the_median_of_the_latest_tasks(ledger, orders):
    """Each task type has its own expected time, and each length and resolution of which enough is known."""
    fast = Kind("seedance-2-fast")
    assert ledger.workload.render_times().expected(fast) is None
    start = datetime(2026, 4, 6, tzinfo=UTC)
    for number, seconds in enumerate((10, 90, 20)):
        ended = {"vendor_ended_at": start + timedelta(seconds=seconds)}
        orders.make(State.STORED, f"p{number}", task={"vendor_created_at": start}, outcome=ended)
    for number in range(5):
        ended = {"vendor_ended_at": start + timedelta(seconds=200 + number)}
        request = {"task_type": "seedance-2-fast", "duration": 15, "resolution": "1080p"}
        task = {"vendor_created_at": start}
        orders.make(State.STORED, f"long{number}", request=request, task=task, outcome=ended)
    times = ledger.workload.render_times()
    long, short = replace(fast, duration=15, resolution="1080p"), replace(fast, duration=4)
    # Three of the short ones are too few: they count as their type does.
    assert [times.expected(kind) for kind in (long, short, fast)] == [202, 201, 201]
    assert times.expected(Kind("seedance-2")) is None
    assert times.shortest == 10


def test_a_named_lease_has_one_owner_at_a_time(ledger, clock):
    """Its owner may renew it, others may not take it; it is free after its time or when released."""
    assert ledger.leases.acquire("advance", "a", seconds=60)
    assert ledger.leases.acquire("advance", "a", seconds=60)
    assert not ledger.leases.acquire("advance", "b", seconds=60)
    assert ledger.leases.owner_of("advance") == "a"
    ledger.leases.release("advance", "b")
    assert ledger.leases.owner_of("advance") == "a"
    clock.forward(seconds=60)
    assert ledger.leases.owner_of("advance") is None
    assert ledger.leases.acquire("advance", "b", seconds=60)
    ledger.leases.release("advance", "b")
    assert ledger.leases.owner_of("advance") is None


def test_the_owners_of_several_leases_are_counted(ledger, clock):
    """Leases that are free, or have run out, have no owner."""
    ledger.leases.acquire("advance 1", "a", seconds=30)
    ledger.leases.acquire("advance 2", "b", seconds=90)
    ledger.leases.acquire("index", "c", seconds=90)
    assert ledger.leases.owners_of(["advance 1", "advance 2", "advance 3"]) == {"a", "b"}
    clock.forward(seconds=60)
    assert ledger.leases.owners_of(["advance 1", "advance 2"]) == {"b"}


def test_pauses_say_why_and_end_automatically(ledger, clock):
    """A pause holds until its time or until it is ended, and a later one of its kind replaces it."""
    ledger.pauses.start("credits", until=clock() + timedelta(seconds=5), message="no credits")
    ledger.pauses.start("credits", until=clock() + timedelta(seconds=9), message="still no credits")
    ledger.pauses.start("rate limit", until=clock() + timedelta(seconds=2), message="429")
    assert ledger.pauses.active() == {"credits": "still no credits", "rate limit": "429"}
    clock.forward(seconds=3)
    assert ledger.pauses.active() == {"credits": "still no credits"}
    ledger.pauses.end("credits")
    assert ledger.pauses.active() == {}


def test_reported_prompts_are_remembered_by_set_and_partition(ledger):
    """A later report of a prompt replaces an earlier one."""
    read_prompts(ledger, "spots", {"a": "1", "b": "2"})
    read_prompts(ledger, "spots", {"b": "3"})
    read_prompts(ledger, "other", {"a": "9"})
    assert {key: ledger.reports.prompt("spots", key) for key in "ab"} == {"a": "1", "b": "3"}


def test_partitions_in_question_have_an_order_without_a_video_or_with_an_unknown_charge(ledger, orders):
    """Partitions in question are those of orders without a video, or with an unknown charge, by set."""
    orders.make(State.REJECTED, "rejected")
    orders.make(State.FAILED, "failed", prompt_set="other")
    orders.make(State.STORED, "uncharged", charged=None)
    orders.make(State.SUCCEEDED, "uncharged too", charged=None)
    orders.make(State.STORED, "fine")
    orders.make(State.SUBMITTED, "open")
    assert ledger.queries.in_question() == {
        "spots": {"rejected", "uncharged", "uncharged too"},
        "other": {"failed"},
    }
