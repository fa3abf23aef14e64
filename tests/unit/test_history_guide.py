"""The history as a guide to polls, on an emulator whose history is good, late, wrong, partial or refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.polling.reliability import Belief
from seedance_dagster.engine.runtime import history_guide
from seedance_dagster.engine.runtime.history_guide import HistoryGuide
from seedance_dagster.engine.stages.poll import Poller
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import State

TASKS = 24
BUSY = Pacing(heavy_round_s=0)
ODD = [
    {},
    {"history_states_late_seconds": 10_000},
    {"history_wrong_share": 1.0},
    {"history_wrong_share": 0.5, "history_shuffled": True},
    {"history_hidden_share": 0.5},
    {"history_lists_unfinished": False},
    {"history_lag_seconds": 500},
]


@pytest.fixture
def submitted(start_engine):
    """Starts an engine on a vendor with many tasks of ours, half of which take ten minutes longer."""

    def start(pacing: Pacing = BUSY, **settings):
        engine = start_engine(queue_seconds=0, render_seconds=300, **settings)
        engine.set_policy(pacing=pacing)
        engine.place(*(f"a cat {number}" for number in range(TASKS // 2)))
        engine.submit()
        engine.control("settings", render_seconds=900)
        engine.place(*(f"a dog {number}" for number in range(TASKS // 2)))
        engine.submit()
        return engine

    return start


def read_history(engine, times: int = 1) -> None:
    """Read the history as one worker that polls in between."""

    async def step(worker):
        guide, poller = HistoryGuide(worker, lambda: None), Poller(worker, engine._emit)
        for _ in range(times):
            await guide.read_once()
            for order in await poller.take(TASKS, None):
                await poller.handle(order)

    engine.work(step)


def states(engine) -> list[tuple]:
    """Return all of each order but when it is polled next."""
    return [
        (order.order_id, order.state, order.polls, order.task_id, order.error_message, order.points_charged)
        for order in engine.ledger.queries.find()
    ]


def pages(engine) -> int:
    return engine.app.state.emulator.traffic.calls["history"]


@pytest.mark.further
def test_with_few_tasks_in_flight_the_history_is_not_read(submitted):
    """With few tasks in flight the history is not read, since GETs poll each often enough."""
    engine = submitted(Pacing())
    read_history(engine)
    assert pages(engine) == 0


def test_tasks_that_the_history_shows_as_ended_are_polled_first(submitted):
    """One page finds all ended tasks before their polls are due, and a GET gives their outcome."""
    engine = submitted()
    engine.clock.forward(seconds=290)
    engine.poll()  # none has ended; the next polls are due a while later
    engine.clock.forward(seconds=11)
    before = states(engine)

    async def read(worker):
        await HistoryGuide(worker, lambda: None).read_once()

    engine.work(read)
    assert (pages(engine), states(engine)) == (1, before)
    engine.poll()
    ended = engine.ledger.queries.find(states={State.SUCCEEDED})
    assert [order.request["prompt"].split()[1] for order in ended] == ["cat"] * (TASKS // 2)
    running = engine.ledger.queries.find(states={State.SUBMITTED})
    assert {order.polls for order in running} == {1}


@pytest.mark.parametrize(
    "odd",
    [ODD[1], *(pytest.param(odd, marks=pytest.mark.further) for odd in (ODD[0], *ODD[2:]))],
    ids=str,
)
def test_whatever_the_history_shows_it_changes_no_order(submitted, odd):
    """The history changes only when orders are polled, and each is collected in the end."""
    engine = submitted(**odd)
    for _ in range(6):
        before = states(engine)

        async def read(worker):
            await HistoryGuide(worker, lambda: None).read_once()

        engine.work(read)
        assert states(engine) == before
        engine.clock.forward(seconds=200)
        read_history(engine)
    for _ in range(3):
        engine.clock.forward(seconds=1200)
        engine.poll()
    assert {order.state for order in engine.ledger.queries.find()} == {State.SUCCEEDED}


@pytest.mark.further
def test_a_history_that_refuses_rests(submitted):
    """After a refusal no worker requests a page of the history for five minutes."""
    engine = submitted()
    engine.control("faults", **{"history-500": 1.0})
    read_history(engine)
    asked = pages(engine)
    assert asked > 0
    read_history(engine)
    assert pages(engine) == asked
    engine.control("faults")
    engine.clock.forward(minutes=6)
    read_history(engine)
    assert pages(engine) == asked + 1


@pytest.mark.sampled(2)
@pytest.mark.parametrize("odd", [{"history_hidden_share": 1.0}, {"history_lag_seconds": 100_000}])
def test_a_history_that_shows_next_to_nothing_of_ours_rests_too(submitted, monkeypatch, odd):
    """Its pages would only take the rate away from GETs."""
    monkeypatch.setattr(history_guide, "_ENOUGH_PAGES", 1)
    engine = submitted(**odd)
    read_history(engine, 3)
    assert pages(engine) == 1
    engine.control("settings", history_hidden_share=0, history_lag_seconds=0)
    engine.clock.forward(minutes=6)
    read_history(engine, 3)
    assert pages(engine) == 4


def test_trouble_with_reading_ends_no_run(submitted, caplog):
    """A locked ledger or an unexpected error only means fewer hints."""
    engine = submitted(replace(BUSY, sweep_s=0.01))
    errors = [LedgerUnavailableError("locked"), ValueError("surprise")]

    async def step(worker):
        read, answered = worker.client.history, asyncio.Event()

        async def history(**span):
            if errors:
                raise errors.pop(0)
            answered.set()
            return await read(**span)

        worker.client.history = history
        guide = asyncio.create_task(HistoryGuide(worker, lambda: None).run())
        async with asyncio.timeout(30):
            await answered.wait()
        assert not guide.done()
        guide.cancel()

    engine.work(step)
    assert "the history does not guide polls for now: locked" in caplog.text
    assert "surprise" in caplog.text


@pytest.mark.further
def test_pages_wait_for_the_rate_that_all_requests_share(submitted):
    """Each page waits for its turn in the shared rate, as each GET does."""
    engine = submitted()
    engine.clock.forward(seconds=310)
    turns = []

    async def step(worker):
        wait = worker.client._pacer.wait

        async def counted():
            turns.append(1)
            await wait()

        worker.client._pacer = SimpleNamespace(wait=counted)
        await HistoryGuide(worker, lambda: None).read_once()
        poller = Poller(worker, engine._emit)
        for order in await poller.take(TASKS, None):
            await poller.handle(order)

    calls = engine.app.state.emulator.traffic.calls
    before = calls.total()
    engine.work(step)
    assert calls["history"] == 1
    assert len(turns) == calls.total() - before > TASKS // 2


@pytest.mark.further
def test_one_worker_reads_at_a_time(submitted):
    """While one worker reads the history, the others do not, until it ends."""
    engine = submitted()

    async def step(worker):
        guide = HistoryGuide(worker, lambda: None)
        assert await guide._lease()
        await asyncio.to_thread(read_history, engine)
        assert pages(engine) == 0

    engine.work(step, "other")
    read_history(engine, 2)
    assert pages(engine) == 0
    engine.clock.forward(minutes=2)
    read_history(engine)
    assert pages(engine) == 1


def belief_of(engine) -> Belief:
    """Return how far the next worker believes the history."""

    async def step(worker):
        guide = HistoryGuide(worker, lambda: None)
        await guide._memory.recall()
        return guide._memory.record.belief

    return engine.work(step)


@pytest.mark.further
def test_what_was_checked_is_remembered_for_later_workers(submitted):
    """A history that shows known ends in time is proven; one that still shows them as running is refuted."""
    engine = submitted()
    assert belief_of(engine) is Belief.UNPROVEN
    engine.clock.forward(seconds=310)
    engine.poll()
    engine.clock.forward(seconds=140)
    read_history(engine, 2)
    assert belief_of(engine) is Belief.PROVEN
    engine.control("settings", history_states_late_seconds=100_000)
    engine.clock.forward(seconds=60)
    read_history(engine, 2)
    assert belief_of(engine) is Belief.REFUTED
    engine.clock.forward(hours=2)
    assert belief_of(engine) is Belief.UNPROVEN


@pytest.mark.further
def test_tasks_that_a_proven_history_shows_as_running_are_polled_rarely(submitted):
    """Their polls are postponed, until their turn comes at the latest."""
    engine = submitted()
    engine.clock.forward(seconds=310)
    engine.poll()
    engine.clock.forward(seconds=140)
    read_history(engine, 2)
    read_history(engine)
    before = states(engine)
    for _ in range(4):
        read_history(engine)
        engine.clock.forward(seconds=100)
    assert states(engine) == before
    running = engine.ledger.queries.find(states={State.SUBMITTED})
    assert all(order.due_at - engine.clock() > timedelta(seconds=100) for order in running)
    engine.clock.forward(seconds=800)
    engine.poll()
    assert engine.ledger.queries.find(states={State.SUBMITTED}) == []
