"""Lost replies over real HTTP, reconciled by the sensor's ticks: adopted or requeued, paid once."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import datetime

import pytest
from plant_support import one_clock

from seedance_dagster.engine.reconcile.history import LISTS_UNFINISHED
from seedance_dagster.engine.reconcile.reconcile import reconcile
from seedance_dagster.engine.runtime.pipeline import poll_due
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import Worker, working
from seedance_dagster.ledger.order import Order, State

pytestmark = pytest.mark.integration

LOST = ("lost-reply", "cut-reply", "hang", "500-after", "garbage-reply")
NEVER = ("500-before", "reset-before", "hang-before")


@pytest.fixture
def at(start_engine):
    """An engine whose vendor has its clock, so that minutes pass on both sides."""

    @contextmanager
    def start(policy=None, **settings):
        slow = {"render_seconds": 600}
        with start_engine({"grace_s": 60.0} | (policy or {}), **slow | settings) as engine:
            one_clock(engine)
            tick(engine)  # as one did before there was anything to reconcile: it remembers the balance
            know(engine)
            engine.services.clock.forward(seconds=30)
            yield engine

    return start


def know(engine) -> None:
    """Make a task that is certainly ours, which the history must list to be trusted."""
    number = len(orders_of(engine, "known"))
    texts = [f"known {number}" for number in range(number + 1)]
    placed = engine.place(*texts, name="known", idempotency_key=f"known {number}")
    submit(engine, only=[placed[-1].order.order_id])


def orders_of(engine, name: str = "spots") -> list[Order]:
    return engine.services.ledger.queries.find(prompt_set=name)


def tasks_of(engine) -> list[dict]:
    """Return the tasks that were made for the orders, without the known ones."""
    tasks = engine.books()["tasks"]
    return [task for task in tasks if not task["request"]["input"]["prompt"].startswith("known")]


def submit(engine, only: list[int] | None = None) -> list[Order]:
    """POST all queued orders, several at once, and do nothing else."""

    async def emit(_event: object) -> None:
        return

    async def work() -> list[Order]:
        async with working(engine.services, "submitter") as worker:
            submitter = Submitter(worker, emit)
            taken = await submitter.take(100, only)
            await asyncio.gather(*map(submitter.handle, taken))
            return taken

    taken = asyncio.run(work())
    return engine.services.ledger.queries.get_many([order.order_id for order in taken])


def tick(engine) -> list[str]:
    return list(asyncio.run(poll_due(engine.services, owner="tick", time_box_s=5)).troubles)


def reconcile_by_ticks(engine, *, forward: float = 61) -> None:
    """Tick every minute until no order is uncertain; tasks of ours are made meanwhile."""
    engine.services.clock.forward(seconds=30)
    for _ in range(8):
        know(engine)
        tick(engine)
        if not engine.services.ledger.queries.find(states={State.UNCERTAIN}):
            return
        engine.services.clock.forward(seconds=forward)
    raise AssertionError([order.error_message for order in orders_of(engine)])


def test_ticks_reconcile_after_every_fault(at):
    """An order with a task gets it and the vendor's time; the others are requeued and paid once."""
    texts = [f"a cat [fault:{fault}*1]" for fault in (*LOST, *NEVER)]
    with at() as engine:
        engine.place(*texts)
        lost = submit(engine)
        assert {order.state for order in lost} == {State.UNCERTAIN}
        tick(engine)
        made = {task["request"]["input"]["prompt"]: task for task in tasks_of(engine)}
        for order in orders_of(engine)[: len(LOST)]:
            task = made[order.request["prompt"]]
            assert (order.state, order.task_id) == (State.SUBMITTED, task["task_id"])
            created_at = datetime.fromisoformat(task["created_at"])
            assert abs((order.vendor_created_at - created_at).total_seconds()) < 1e-5
        assert len(made) == len(LOST)
        reconcile_by_ticks(engine)
        assert {order.state for order in submit(engine)} == {State.SUBMITTED}
        assert {entry["tasks"] for entry in engine.books()["prompts"].values()} == {1}
        assert {order.task_id for order in orders_of(engine)} == {
            task["task_id"] for task in tasks_of(engine)
        }


@pytest.mark.parametrize(
    "kind", ["drop", *(pytest.param(kind, marks=pytest.mark.further) for kind in ("html-502", "429"))]
)
def test_a_tick_reports_a_history_that_cannot_be_read(at, kind):
    """The order stays uncertain, is never sent again, and is adopted when the history is back."""
    with at() as engine:
        engine.place("a cat [fault:lost-reply*1]")
        submit(engine)
        engine.control("outage", seconds=3600, kind=kind, scope="history")
        for _ in range(3):
            troubles = tick(engine)
            assert any(trouble.startswith("the vendor's history cannot be read: ") for trouble in troubles)
            assert submit(engine) == []
            engine.services.clock.forward(seconds=61)
        engine.control("outage", seconds=0)
        reconcile_by_ticks(engine)
        assert engine.books()["prompts"]["a cat [fault:lost-reply*1]"] == {"posts": 1, "tasks": 1}


@pytest.mark.further
def test_tasks_of_another_program_are_left_alone(at):
    """Unmatched tasks are not adopted, and their cost keeps no order from being requeued."""
    with at() as engine:
        engine.place("a cat [fault:reset-before*1]")
        submit(engine)
        for text in ("their cat", "their dog"):
            engine.control(
                "tasks",
                model="seedance",
                task_type="seedance-2-fast",
                input={"prompt": text, "mode": "text_to_video", "duration": 4},
            )
        reconcile_by_ticks(engine)
        [order] = submit(engine)
        assert order.state is State.SUBMITTED
        ours = [task for task in tasks_of(engine) if task["source"] == "api"]
        assert [task["task_id"] for task in ours] == [order.task_id]


@pytest.mark.further
def test_a_history_that_lags_longer_than_the_grace_period_requeues_nothing(at):
    """The order is never sent again, and adopted as soon as the history lists its task."""
    with at(history_lag_seconds=1200) as engine:
        engine.place("a cat [fault:lost-reply*1]")
        submit(engine)
        engine.services.clock.forward(seconds=30)
        know(engine)
        for _ in range(5):
            tick(engine)
            assert [order.state for order in orders_of(engine)] == [State.UNCERTAIN]
            engine.services.clock.forward(seconds=61)
        engine.services.clock.forward(seconds=1200)
        tick(engine)
        assert [order.state for order in orders_of(engine)] == [State.SUBMITTED]
        assert len(tasks_of(engine)) == 1


@pytest.mark.parametrize("shape", ["wallet", pytest.param("credit_pack", marks=pytest.mark.further)])
def test_a_history_of_finished_tasks_only(at, shape):
    """A task is adopted when it has ended; an order without one is requeued much later."""
    with at(history_lists_unfinished=False, account_shape=shape, render_seconds=600) as engine:
        engine.services.clock.forward(seconds=800)
        tick(engine)
        engine.place("a cat [fault:lost-reply*1]", "a dog [fault:reset-before*1]")
        submit(engine)
        tick(engine)
        assert {order.state for order in orders_of(engine)} == {State.UNCERTAIN}
        engine.services.clock.forward(seconds=1000)
        tick(engine)
        cat, dog = orders_of(engine)
        assert (cat.task_id is not None, dog.state) == (True, State.UNCERTAIN)
        engine.services.clock.forward(hours=13)
        reconcile_by_ticks(engine)
        assert orders_of(engine)[1].state is State.QUEUED
        assert len(tasks_of(engine)) == 1


@pytest.mark.further
def test_two_workers_and_a_tick_reconcile_at_once(at):
    """The first of several workers resolves an order, once."""
    texts = [
        f"cat {number} [fault:{'lost-reply' if number % 2 else 'reset-before'}*1]" for number in range(8)
    ]
    with at() as engine:
        engine.place(*texts)
        submit(engine)

        async def look(name: str) -> None:
            async with working(engine.services, name) as worker:
                await reconcile(worker, now=True)

        async def all_at_once() -> None:
            await asyncio.gather(
                look("one"), look("two"), poll_due(engine.services, owner="tick", time_box_s=5)
            )

        engine.services.clock.forward(seconds=30)
        know(engine)
        for _ in range(3):
            asyncio.run(all_at_once())
            engine.services.clock.forward(seconds=61)
        ledger = engine.services.ledger
        for order in orders_of(engine):
            steps = [entry.to_state for entry in ledger.queries.journal(order.order_id)]
            assert steps[:3] == ["queued", "claimed", "uncertain"]
            assert steps[3:] in (["queued"], ["submitted"], ["submitted", "succeeded"])
        submit(engine)
        assert {entry["tasks"] for entry in engine.books()["prompts"].values()} == {1}


@pytest.mark.parametrize("reached", [State.SUBMITTED, State.UNCERTAIN])
def test_an_answer_after_its_order_was_taken_for_lost_is_recorded_once(at, monkeypatch, reached):
    """A worker that was frozen between answer and record finds its task recorded, or records it."""
    with at() as engine:
        tick(engine)
        account = engine.services.open_client().account_name
        engine.services.ledger.observations.remember({f"{LISTS_UNFINISHED} of account {account}": 1})
        engine.place("a cat")
        record = Submitter._record
        states: list[str] = []

        async def late(self: Submitter, order: Order, task: object, first_poll_s: float) -> None:
            # While the worker was frozen, its lease expired, and a tick may have adopted the task.
            engine.services.clock.forward(hours=11)
            async with working(engine.services, "tick") as worker:
                await asyncio.to_thread(engine.services.ledger.claims.expire, actor="tick")
                if reached is State.SUBMITTED:
                    await reconcile(Worker("tick", engine.services, worker.client), now=True)
            states.append(engine.services.ledger.queries.get(order.order_id).state)
            await record(self, order, task, first_poll_s)

        monkeypatch.setattr(Submitter, "_record", late)
        submit(engine)
        [order] = orders_of(engine)
        assert (states, order.state) == ([reached], State.SUBMITTED)
        assert len(tasks_of(engine)) == 1
        assert [entry.to_state for entry in engine.services.ledger.queries.journal(order.order_id)] == [
            "queued",
            "claimed",
            "uncertain",
            "submitted",
        ]
