"""Reconciliation: a lost answer is settled by the vendor's history, and nothing is freed on weak evidence."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from bench_support import POINTS, bench

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError
from seedance_dagster.generation import history
from seedance_dagster.generation.reconcile import reconcile
from seedance_dagster.generation.worker import working
from seedance_dagster.ledger import State

GRACE = timedelta(minutes=10)


@pytest.fixture
def on(tmp_path: Path, clock):
    """Makes a bench on a vendor that behaves as told."""
    made = []

    def make(**settings):
        context = bench(tmp_path, clock, **settings)
        made.append(context)
        return context.__enter__()

    yield make
    for context in made:
        context.__exit__(None, None, None)


@pytest.fixture
def it(on):
    return on()


def states(it) -> list[State]:
    return [order.state for order in it.ledger.find()]


def why(it) -> list[str]:
    return [order.error_message or "" for order in it.ledger.find(states={State.UNCERTAIN})]


def steps(it, order) -> list[str]:
    return [entry.to_state for entry in it.ledger.journal(order.order_id)]


def two_readings(it, clock) -> None:
    it.reconcile()
    clock.forward(seconds=GRACE.total_seconds())
    it.reconcile()


def test_a_task_that_was_made_is_adopted_with_the_vendor_s_own_time(it, clock):
    """The order owns the task, its creation time is the vendor's, and it is looked at at once."""
    [order] = it.lose("a cat")
    made_at = clock()
    clock.forward(seconds=90)
    settled = it.reconcile()
    [adopted] = settled.adopted
    assert (settled.freed, settled.uncertain) == ((), ())
    [task_id] = it.vendor.tasks
    assert (adopted.state, adopted.task_id) == (State.SUBMITTED, task_id)
    assert (adopted.vendor_created_at, adopted.due_at, adopted.points_held) == (made_at, clock(), POINTS)
    last = it.ledger.journal(order.order_id)[-1]
    assert (last.actor, last.detail) == ("w", {"task_id": task_id, "how": "adopted"})


@pytest.mark.parametrize(("orders", "tasks"), [(3, 3), (3, 2), (3, 0), (1, 1)])
def test_identical_orders_match_identical_tasks_one_to_one(it, orders, tasks):
    """As many orders are adopted as there are tasks, each task once; the others wait."""
    it.lose(*["a cat"] * tasks)
    it.lose(*["a cat"] * (orders - tasks), fault="500-before")
    settled = it.reconcile()
    assert (len(settled.adopted), len(settled.freed), len(settled.uncertain)) == (tasks, 0, orders - tasks)
    assert {order.task_id for order in settled.adopted} == set(it.vendor.tasks)


def test_an_order_that_never_arrived_is_freed_after_two_clean_readings(it, clock):
    """Not before the grace period is over, however often and by whom it is looked at."""
    [order] = it.lose("a cat", fault="500-before")
    for seconds in (0, 60, 300, 239):
        clock.forward(seconds=seconds)
        assert it.reconcile(now=True).freed == ()
    clock.forward(seconds=1)
    [freed] = it.reconcile(now=True).freed
    assert (freed.state, freed.attempt, freed.absent_since) == (State.QUEUED, 1, None)
    assert it.ledger.journal(order.order_id)[-1].detail == {
        "reason": "no task was made: the history was read twice without it"
    }
    [again] = it.submit()
    assert again.state is State.SUBMITTED
    assert len(it.vendor.tasks) == 1


def test_the_grace_period_can_be_set(it, clock):
    """It is a setting of whoever builds the engine."""
    it.under(grace_s=30)
    it.lose("a cat", fault="500-before")
    it.reconcile()
    clock.forward(seconds=29)
    assert it.reconcile(now=True).freed == ()
    clock.forward(seconds=1)
    assert len(it.reconcile(now=True).freed) == 1


def test_an_order_is_looked_at_once_a_minute(it, clock):
    """The history is read when an order is due, or now where somebody says so."""
    it.lose("a cat", fault="500-before")
    assert len(it.reconcile().uncertain) == 1
    clock.forward(seconds=59)
    assert it.reconcile().uncertain == ()
    assert len(it.reconcile(now=True).uncertain) == 1
    clock.forward(seconds=60)
    assert len(it.reconcile().uncertain) == 1


def test_nothing_uncertain_asks_nothing(it):
    """Without uncertain orders the history is left alone."""
    it.accept("a cat")
    assert it.reconcile(now=True).uncertain == ()
    assert it.app.state.emulator.traffic.calls["history"] == 0


def test_an_unreadable_history_frees_nothing_and_starts_the_grace_anew(it, clock):
    """The reason is on the order; the clean readings before it no longer count."""
    it.lose("a cat", fault="500-before")
    it.reconcile()
    clock.forward(seconds=590)
    it.tell("faults", **{"history-500": 1.0})
    [order] = it.reconcile().uncertain
    assert order.absent_since is None
    assert order.error_message.startswith("the vendor's history cannot be read: ")
    it.tell("faults")
    clock.forward(seconds=60)
    it.reconcile()
    clock.forward(seconds=599)
    assert it.reconcile(now=True).freed == ()
    clock.forward(seconds=1)
    assert len(it.reconcile(now=True).freed) == 1


def test_a_task_that_the_history_lists_late_is_adopted(on, clock):
    """Until then the account's balance speaks against its absence, longer than any grace period."""
    it = on(history_lag_seconds=3000)
    it.lose("a cat")
    for _ in range(4):
        clock.forward(seconds=700)
        [order] = it.reconcile().uncertain
        assert order.error_message == "0.4 USD left the account for no task that is known"
    clock.forward(seconds=200)
    assert len(it.reconcile().adopted) == 1


def test_a_history_that_lacks_a_known_task_proves_nothing(on, clock):
    """What is known to exist and is not listed shows that others may be missing as well."""
    it = on(history_lag_seconds=1000, render_seconds=10_000)
    it.accept("a dog")
    [known] = it.submit()
    it.lose("a cat", fault="500-before")
    two_readings(it, clock)
    assert why(it) == [f"the history does not list task {known.task_id}, which exists"]
    clock.forward(seconds=400)
    two_readings(it, clock)
    assert states(it) == [State.SUBMITTED, State.QUEUED]


def test_a_history_of_finished_tasks_only_frees_nothing_while_tasks_are_at_work(on, clock):
    """A lost task is adopted when it has finished; the balance speaks for it before."""
    it = on(history_lists_unfinished=False)
    it.lose("a cat")
    two_readings(it, clock)
    assert why(it) == ["0.4 USD left the account for no task that is known"]
    clock.forward(seconds=60)
    assert len(it.reconcile().adopted) == 1


def test_a_history_of_finished_tasks_only_frees_what_the_balance_clears(on, clock):
    """When no points are missing, two clean readings free the order."""
    it = on(history_lists_unfinished=False)
    it.lose("a cat", fault="500-before")
    two_readings(it, clock)
    assert states(it) == [State.QUEUED]


@pytest.mark.parametrize(("lists_unfinished", "state"), [(True, State.QUEUED), (False, State.UNCERTAIN)])
def test_without_a_balance_the_history_must_have_listed_an_unfinished_task(
    on, clock, lists_unfinished, state
):
    """An account that tells nothing leaves the history alone to prove an absence: it must be fit for it."""
    it = on(history_lists_unfinished=lists_unfinished)
    it.tell("outage", seconds=86_400, scope="account")
    it.lose("a cat", fault="500-before")
    it.stranger("somebody's dog")
    two_readings(it, clock)
    assert states(it) == [state]
    if state is State.UNCERTAIN:
        assert why(it) == [
            "the account's balance proves nothing, and the history never listed an unfinished task"
        ]


def test_a_payment_into_the_account_hides_no_task(on, clock):
    """More than there should be proves nothing: the order stays uncertain until the task is listed."""
    it = on(history_lists_unfinished=False)
    it.lose("a cat")
    it.tell("settings", points=20_000_000_000)
    clock.forward(seconds=30)
    it.reconcile()
    clock.forward(seconds=60)
    it.reconcile()
    assert why(it) == [
        "the account's balance proves nothing, and the history never listed an unfinished task"
    ]
    clock.forward(seconds=600)
    assert len(it.reconcile().adopted) == 1


@pytest.mark.parametrize("task_type", ["seedance-2-fast", "seedance-2"])
def test_tasks_of_other_programs_explain_a_drop_of_the_balance(it, clock, task_type):
    """What strangers took, by tasks of any type, is not missing; an order that never arrived is freed."""
    it.lose("a cat", fault="500-before")
    clock.forward(seconds=1)
    it.stranger("somebody's dog", task_type=task_type)
    two_readings(it, clock)
    assert states(it) == [State.QUEUED]


def test_a_drop_that_nothing_explains_keeps_an_order_uncertain(it, clock):
    """What another program took for something else cannot be told from a task that nobody found."""
    it.lose("a cat", fault="500-before")
    it.tell("settings", points=it.vendor.account.points - 2_000_000)
    two_readings(it, clock)
    assert why(it) == ["0.2 USD left the account for no task that is known"]


def test_small_change_is_no_task(it, clock):
    """Less than half of the estimate cannot be the order's task."""
    it.lose("a cat", fault="500-before")
    it.tell("settings", points=it.vendor.account.points - 1_999_999)
    two_readings(it, clock)
    assert states(it) == [State.QUEUED]


def test_what_was_adopted_just_now_explains_once(on, clock):
    """A task that is adopted in the same look does not stand for another one that is missing."""
    it = on(history_lag_seconds=1000)
    it.lose("a cat")
    clock.forward(seconds=500)
    it.lose("a dog")
    clock.forward(seconds=500)
    settled = it.reconcile()
    assert [order.partition for order in settled.adopted] == ["p0"]
    assert why(it) == ["0.4 USD left the account for no task that is known"]


def test_an_end_that_nobody_saw_puts_the_verdict_off(on, clock):
    """Points that came back unseen could hide those of a missing task: the next look decides."""
    it = on(history_lists_unfinished=False, history_lag_seconds=0)
    it.accept("a dog [fault:vendor-trouble]")
    it.submit()
    clock.forward(seconds=60)
    it.lose("a cat")
    clock.forward(seconds=600)
    [order] = it.reconcile().uncertain
    assert (order.state, order.absent_since) == (State.UNCERTAIN, clock())
    it.poll()
    clock.forward(seconds=1)
    [order] = it.reconcile(now=True).uncertain
    assert order.error_message == "0.4 USD left the account for no task that is known"
    clock.forward(seconds=60)
    assert len(it.reconcile().adopted) == 1


def test_while_a_post_is_on_its_way_the_verdict_is_put_off(it, clock):
    """The balance proves nothing then; the clean readings still count."""
    it.lose("a cat", fault="500-before")
    it.reconcile()
    it.accept("a dog")
    it.ledger.hold("other", "other", seconds=3600)
    [claimed] = it.ledger.claim("other", limit=1, max_in_flight=None)
    clock.forward(seconds=600)
    [order] = it.reconcile().uncertain
    assert clock() - order.absent_since == GRACE
    it.ledger.requeue(claimed, actor="other", due_at=clock(), reason="429")
    clock.forward(seconds=60)
    assert len(it.reconcile().freed) == 1


def test_orders_that_move_while_the_balance_is_read_put_the_verdict_off(it, clock, monkeypatch):
    """A task that is recorded during the reading explains nothing and hides nothing."""
    it.lose("a cat", fault="500-before")
    it.reconcile()
    clock.forward(seconds=600)
    account = SeedanceClient.account

    async def meanwhile(self):
        told = await account(self)
        [order] = it.accept("a dog")
        [claimed] = it.ledger.claim("x", limit=1, max_in_flight=None, only=[order.order_id])
        it.ledger.requeue(claimed, actor="x", due_at=clock(), reason="429")
        return told

    with monkeypatch.context() as patch:
        patch.setattr(SeedanceClient, "account", meanwhile)
        assert len(it.reconcile(now=True).uncertain) == 1
    assert len(it.reconcile(now=True).freed) == 1


def test_a_second_page_is_read(it, clock):
    """A task behind a hundred newer ones is found."""
    it.lose("a cat")
    for number in range(105):
        it.stranger(f"dog {number}")
    assert len(it.reconcile().adopted) == 1
    assert it.app.state.emulator.traffic.calls["history"] == 2


def test_a_history_that_is_too_long_proves_nothing(it, clock, monkeypatch):
    """The page limit is told, with the window's begin; what was found is adopted all the same."""
    monkeypatch.setattr(history, "_MAX_PAGES", 1)
    it.lose("a cat", fault="500-before")
    for number in range(101):
        it.stranger(f"dog {number}")
    two_readings(it, clock)
    assert why(it) == ["the history since 2026-04-05 18:00 UTC has more than 1 pages"]


def test_a_history_that_grows_while_it_is_read_is_caught_up_with(it, clock, monkeypatch):
    """What moved from one page to the next is read by another pass."""
    [order] = it.lose("a cat")
    for number in range(199):
        it.stranger(f"dog {number}")
    page_of = SeedanceClient.history
    seen = []

    async def growing(self, **query):
        seen.append(query["page"])
        read = await page_of(self, **query)
        if len(seen) == 1:
            # A task among those just read: what stood at the page's end stands at the next one's start.
            late = read.rows[50]
            return read.model_copy(update={"rows": tuple(row for row in read.rows if row != late)})
        return read

    monkeypatch.setattr(SeedanceClient, "history", growing)
    assert [each.order_id for each in it.reconcile().adopted] == [order.order_id]
    assert seen == [1, 2, 3, 1]


def test_a_history_that_counts_more_than_it_lists_proves_nothing(it, clock, monkeypatch):
    """Rows that are never shown may be the one that is looked for."""
    it.lose("a cat", fault="500-before")
    page_of = SeedanceClient.history

    async def hiding(self, **query):
        return (await page_of(self, **query)).model_copy(update={"total": 1})

    monkeypatch.setattr(SeedanceClient, "history", hiding)
    two_readings(it, clock)
    assert why(it) == ["the history counts 1 tasks and lists 0"]


def test_a_history_without_a_count_ends_with_an_empty_page(it, clock, monkeypatch):
    """Where the vendor tells no total, a page that brings nothing new is the last."""
    it.lose("a cat")
    for number in range(120):
        it.stranger(f"dog {number}")
    page_of = SeedanceClient.history

    async def uncounted(self, **query):
        return (await page_of(self, **query)).model_copy(update={"total": None})

    monkeypatch.setattr(SeedanceClient, "history", uncounted)
    assert len(it.reconcile().adopted) == 1


def test_a_listed_task_that_cannot_be_read_proves_nothing(it, clock, monkeypatch):
    """It may be the one that is looked for."""
    it.lose("a cat", fault="500-before")
    task_id = it.stranger("somebody's dog")

    async def gone(_self, _task_id):
        raise NotFoundError("no such task")

    monkeypatch.setattr(SeedanceClient, "get_task", gone)
    two_readings(it, clock)
    assert why(it) == [f"task {task_id} is in the history but cannot be read"]


def test_a_stranger_s_old_task_is_read_once_by_a_process(it, clock):
    """What was made long before the order is only compared, so one look is enough."""
    it.stranger("somebody's dog")
    clock.forward(hours=2)
    it.lose("a cat", fault="500-before")
    for _ in range(4):
        clock.forward(seconds=60)
        it.reconcile()
    assert it.app.state.emulator.traffic.calls["get"] == 1


def test_a_stranger_s_equal_task_from_before_the_order_is_not_taken(it, clock):
    """It is neither adopted nor is the order freed: a person decides."""
    it.stranger("a cat")
    clock.forward(hours=2)
    it.lose("a cat", fault="500-before")
    two_readings(it, clock)
    [reason] = why(it)
    assert reason == (
        "a task without an order has the same text but other parameters, or was made before the order"
    )


def test_a_task_that_turns_up_after_its_order_was_freed_is_adopted(on, clock):
    """The window begins at the acceptance: a first task that was listed too late is not lost."""
    it = on(history_lag_seconds=3000)
    # Another's task shows that the history lists what is at work, and the account tells nothing.
    it.stranger("somebody's dog")
    clock.forward(seconds=3000)
    it.tell("settings", history_lag_seconds=0)
    it.stranger("somebody's cat")
    it.tell("outage", seconds=86_400, scope="account")
    [order] = it.lose("a cat", fault="500-after")
    it.tell("settings", history_lag_seconds=3000)
    first = list(it.vendor.tasks)[-1]
    it.ledger.learn({history.LISTS_UNFINISHED: 1})
    two_readings(it, clock)
    assert states(it) == [State.QUEUED]
    it.tell("faults", **{"500-before": 1.0})
    it.submit()
    it.tell("faults")
    assert states(it) == [State.UNCERTAIN]
    clock.forward(seconds=2400)
    [adopted] = it.reconcile().adopted
    assert (adopted.order_id, adopted.task_id) == (order.order_id, first)
    assert adopted.vendor_created_at < adopted.claimed_at


@pytest.mark.parametrize("ahead", [-20, -3, 3, 20])
def test_a_clock_that_is_wrong_by_hours_frees_nothing(it, clock, ahead):
    """A task that the vendor's clock puts hours before or after the order is doubtful, not absent."""
    it.vendor.clock = lambda: clock() - timedelta(hours=ahead)
    it.tell("outage", seconds=86_400, scope="account")
    it.ledger.learn({history.LISTS_UNFINISHED: 1})
    it.lose("a cat")
    settled = it.reconcile()
    if ahead > 0:
        assert settled.adopted == ()
        two_readings(it, clock)
        assert states(it) == [State.UNCERTAIN]
        assert "was made before the order" in why(it)[0]
    else:
        assert len(settled.adopted) == 1


@pytest.mark.parametrize("hours", [-20, -3, 3, 20])
def test_a_clock_that_jumps_after_the_post_frees_nothing(it, clock, hours):
    """Whether it was put forwards or back, the task is found."""
    it.lose("a cat")
    vendor_time, started = clock(), clock() + timedelta(hours=hours)
    it.vendor.clock = lambda: vendor_time + (clock() - started)
    clock.now = started
    assert len(it.reconcile().adopted) == 1


def test_a_clock_that_is_put_back_between_the_readings_starts_the_grace_anew(it, clock):
    """A first reading that lies in the future is none."""
    it.lose("a cat", fault="500-before")
    clock.forward(hours=5)
    it.reconcile()
    clock.forward(hours=-5)
    [order] = it.reconcile().uncertain
    assert order.absent_since == clock()
    clock.forward(seconds=600)
    assert len(it.reconcile().freed) == 1


def test_two_reconcilers_at_once_settle_each_order_once(it, clock):
    """Adopted or freed, one of them does it and the other leaves it."""
    lost = it.lose(*["a cat"] * 5)
    never = it.lose(*["a dog"] * 5, fault="500-before")

    async def both() -> None:
        async def one(name: str) -> None:
            async with working(it.services, name) as worker:
                await reconcile(worker, now=True)

        await asyncio.gather(*(one(f"w{number}") for number in range(4)))

    asyncio.run(both())
    clock.forward(seconds=600)
    asyncio.run(both())
    for order in lost:
        assert steps(it, order) == ["queued", "claimed", "uncertain", "submitted"]
    for order in never:
        assert steps(it, order) == ["queued", "claimed", "uncertain", "queued"]
    assert len({order.task_id for order in it.orders(*lost)}) == 5


def test_a_reading_from_before_a_later_claim_says_nothing_about_it(it, clock):
    """A slow reconciler frees and notes nothing for an order that was sent again meanwhile."""
    from seedance_dagster.ledger import StaleOrderError

    [old] = it.lose("a cat", fault="500-before")
    it.ledger.requeue(old, actor="other", due_at=clock(), reason="released by hand")
    clock.forward(seconds=5)
    it.tell("faults", **{"500-after": 1.0})
    it.submit()
    [new] = it.orders(old)
    assert new.state is State.UNCERTAIN
    it.ledger.still_absent(old, due_at=clock(), since=old.claimed_at)
    assert it.orders(old)[0].absent_since is None
    with pytest.raises(StaleOrderError):
        it.ledger.requeue(old, actor="slow", due_at=clock(), reason="absent twice")


def test_lost_answers_of_killed_workers_are_settled_alike(it, clock):
    """A claim whose worker is gone becomes uncertain and is adopted or freed as any other."""
    it.accept("a cat")
    it.ledger.hold("dead", "dead", seconds=60)
    it.ledger.claim("dead", limit=1, max_in_flight=None)
    it.stranger("a cat")  # what the dead worker's POST made
    clock.forward(seconds=61)
    it.ledger.expire_claims(actor="w")
    assert len(it.reconcile().adopted) == 1
