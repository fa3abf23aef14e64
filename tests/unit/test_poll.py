"""One poll of one task, with its records and reports."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import make_task
from harness import no_client
from stores import MemoryStore

from seedance_dagster.api.account import AccountInfo
from seedance_dagster.api.errors import (
    AuthenticationError,
    NotFoundError,
    RateLimitError,
    SeedanceError,
    TransportError,
    VendorError,
)
from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.engine.events import Delayed, Ended
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.poll import Poller
from seedance_dagster.engine.worker import Worker
from seedance_dagster.health import stuck_reason
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import orders as orders_table
from seedance_dagster.ledger.work.render_times import Kind, RenderTimes

URL = "https://files.example.com/v.mp4"


class World:
    """A poller on a real ledger, and a vendor that answers as the test says."""

    account_name = "mine"
    requests_per_second = 10.0

    def __init__(self, ledger, clock) -> None:
        self.ledger, self.clock = ledger, clock
        self.answer: object = make_task()
        self.account_error: SeedanceError | None = None
        self.events: list[object] = []
        self.ends = 0
        services = Services(ledger=ledger, open_client=no_client, store=MemoryStore(), clock=clock)
        self.poller = Poller(Worker("w", services, self), self.emit, on_end=self.end)

    async def get_task(self, task_id):
        answer = self.answer(task_id) if callable(self.answer) else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def account(self):
        if self.account_error is not None:
            raise self.account_error
        return AccountInfo(plan=None, points_remaining=None, balance_source=None, max_concurrent_tasks=None)

    def end(self):
        self.ends += 1

    async def emit(self, event):
        self.events.append(event)

    async def poll(self):
        """Poll the oldest due order; return it as it is afterwards."""
        [order] = await self.poller.take(1, None)
        await self.poller.handle(order)
        return self.ledger.queries.get(order.order_id)


@pytest.fixture
def world(ledger, clock):
    return World(ledger, clock)


@pytest.fixture
def submitted(orders, clock):
    """Submits orders a minute ago."""

    def make(*partitions: str, retries: int = 1):
        made = orders.make_many(State.SUBMITTED, *partitions, retries=retries)
        clock.forward(seconds=60)
        return made

    return make


async def test_a_running_task_is_polled_again_and_not_reported(world, ledger, submitted, clock, monkeypatch):
    """The next poll is planned by how long such tasks took, which is asked once."""
    asked = []
    times = RenderTimes([(Kind("seedance-2-fast"), 100.0)])
    monkeypatch.setattr(ledger.workload, "render_times", lambda: asked.append("times") or times)
    submitted("a", "b")
    for task_id in ("task-1", "task-2"):
        world.answer = make_task(task_id=task_id)
        order = await world.poll()
        assert (order.state, order.polls, order.lease_owner) == (State.SUBMITTED, 1, None)
        # One minute old of an expected hundred seconds: in half a minute, and up to a quarter more.
        assert timedelta(seconds=30) <= order.due_at - clock() <= timedelta(seconds=37.5)
    assert (world.events, asked) == ([], ["times"])
    assert world.ends == 0, "the other stages have nothing new to look for"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (RateLimitError("slow down", retry_after_s=600.0), 600),
        (VendorError("HTTP 503", retry_after_s=1.0), 15),
        (RateLimitError("slow down"), 15),
        (TransportError("no answer"), 15),
    ],
)
async def test_a_poll_is_not_repeated_sooner_than_the_vendor_asks(world, submitted, clock, error, seconds):
    """A long `Retry-After` is obeyed, and a poll that failed is postponed a little in any case."""
    submitted("a")
    world.answer = error
    assert (await world.poll()).due_at - clock() == timedelta(seconds=seconds)


async def test_a_finished_task_is_to_be_collected(world, submitted):
    """The order succeeds, and the link of its video is kept."""
    submitted("a")
    world.answer = make_task(status=TaskStatus.COMPLETED, video_url=URL)
    order = await world.poll()
    assert (order.state, order.video_url) == (State.SUCCEEDED, URL)
    assert (world.events, world.ends) == ([], 1)


@pytest.mark.parametrize("retries", [0, 1])
async def test_a_failed_task_ends_or_is_tried_again(world, ledger, submitted, clock, retries):
    """The end of an order is reported as such only when no attempt follows."""
    submitted("a", retries=retries)
    logs = ("upstream error",)
    world.answer = make_task(status=TaskStatus.FAILED, logs=logs, error_code=10000, points_held=0)
    order = await world.poll()
    assert order.state is State.FAILED
    assert (order.error_class, order.error_message) == ("vendor", "upstream error")
    again = ledger.queries.next_attempt(order)
    assert (again is not None) == bool(retries)
    assert again is None or again.due_at == clock() + timedelta(seconds=30)
    [event] = world.events
    assert isinstance(event, Delayed if retries else Ended)
    assert world.ends == 1, "a slot is free"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            {"status": TaskStatus.UNKNOWN, "raw_status": "finalizing"},
            "its status is 'finalizing', an unknown word",
        ),
        ({"status": TaskStatus.COMPLETED, "output": "cover_url"}, "its output has cover_url"),
    ],
)
async def test_what_is_not_known_is_said_once_and_waited_for(world, submitted, clock, task, words):
    """An unclear state is in the run's log once and in `status` until a clear answer ends it."""
    submitted("a")
    world.answer = make_task(**task)
    for _ in range(3):
        order = await world.poll()
        clock.forward(minutes=5)
        assert words in stuck_reason(order, now=clock(), stale_after=timedelta(days=1))
    [event] = world.events
    assert isinstance(event, Delayed)
    assert words in event.reason
    world.answer = make_task(status=TaskStatus.PROCESSING)
    order = await world.poll()
    assert stuck_reason(order, now=clock(), stale_after=timedelta(days=1)) is None


async def test_a_task_that_was_ended_is_over_and_not_tried_again(world, ledger, submitted):
    """A task that the vendor ended is over, with the vendor's word as the reason, and is not retried."""
    submitted("a")
    world.answer = make_task(status=TaskStatus.ENDED, raw_status="canceled")
    order = await world.poll()
    assert (order.state, order.error_message) == (State.FAILED, "the vendor reports it as canceled")
    assert ledger.queries.next_attempt(order) is None


@pytest.mark.parametrize("error", [TransportError("no answer"), NotFoundError("no such task")])
async def test_a_failed_poll_ends_nothing(world, submitted, clock, error):
    """A vendor that is unreachable, or denies the task, is reported, and the task is polled again."""
    submitted("a")
    world.answer = error
    order = await world.poll()
    assert (order.state, order.error_message) == (State.SUBMITTED, str(error))
    assert order.due_at == clock() + timedelta(seconds=15)
    [event] = world.events
    assert isinstance(event, Delayed)
    assert event.reason == str(error)


async def test_a_task_that_the_vendor_refuses_to_show_stops_no_other(world, ledger, submitted, clock):
    """Its order is polled on and reported, the others end, and the report ends with the refusal."""
    refused, other = submitted("a", "b")
    done = make_task(status=TaskStatus.COMPLETED, video_url=URL, task_id=other.task_id)
    forbidden = AuthenticationError("the vendor refused: no such right (HTTP 403, code 403)")
    world.answer = lambda task_id: forbidden if task_id == refused.task_id else done
    for _ in range(3):
        for order in await world.poller.take(9, None):
            await world.poller.handle(order)
        clock.forward(seconds=15)
    refused, other = ledger.queries.get_many([refused.order_id, other.order_id])
    assert (refused.state, refused.polls, other.state) == (State.SUBMITTED, 3, State.SUCCEEDED)
    reason = stuck_reason(refused, now=clock(), stale_after=timedelta(hours=12))
    assert reason is not None
    assert reason.startswith(f"the vendor does not show task {refused.task_id} of order {refused.order_id}")
    world.answer = make_task(task_id=refused.task_id)
    assert stuck_reason(await world.poll(), now=clock(), stale_after=timedelta(hours=12)) is None


async def test_a_key_that_is_refused_is_not_blamed_on_the_task(world, ledger, submitted, clock):
    """The report says what to check, and not that the task may be given up: it is paid for."""
    [order] = submitted("a")
    world.answer = AuthenticationError("the vendor refused: invalid API key (HTTP 401); check GOAPI_API_KEY")
    world.account_error = world.answer
    reason = stuck_reason(await world.poll(), now=clock(), stale_after=timedelta(hours=12))
    assert reason == f"task {order.task_id} of order {order.order_id} is polled again: {world.answer}"


async def test_a_task_of_another_account_is_not_blamed_on_the_task(world, ledger, submitted):
    """Its order goes on, and the report says which key it needs; a vendor that shows the task is believed."""
    [order] = submitted("a")
    world.answer = NotFoundError("no such task")
    with ledger.claims._database.writing() as connection:
        connection.execute(orders_table.update().values(account="another"))
    order = await world.poll()
    assert order.state is State.SUBMITTED
    assert order.error_message.startswith(f"order {order.order_id} was sent with another API key")
    world.answer = make_task(status=TaskStatus.COMPLETED, video_url=URL)
    assert order.due_at is not None
    world.clock.forward(seconds=15)
    assert (await world.poll()).state is State.SUCCEEDED


async def test_a_poller_takes_submitted_orders(world, orders, ledger, submitted):
    """Only submitted orders, under its own lease, up to a limit, of those that are asked for."""
    first, second, third = submitted("a", "b", "c")
    [queued] = orders.place("d")
    ids = [second.order_id, third.order_id, queued.order_id]
    [taken] = await world.poller.take(1, ids)
    assert (taken.order_id, taken.lease_owner) == (second.order_id, "w")
    ledger.leases.acquire("w", "w", seconds=60)
    assert [order.order_id for order in await world.poller.take(9, ids)] == [third.order_id]
    assert [order.order_id for order in await world.poller.take(9, None)] == [first.order_id]


async def test_an_unknown_word_with_a_number_in_it_is_said_once(world, submitted, clock):
    """A progress in the word, which differs at each poll, makes no new event; another word does."""
    submitted("a")
    for word in ("Finalizing (1%)", "Finalizing (45%)", "Muxing 3/7", "Muxing 4/7"):
        world.answer = make_task(status=TaskStatus.UNKNOWN, raw_status=word)
        order = await world.poll()
        assert word in order.error_message
        clock.forward(seconds=600)
    assert [event.reason.split("'")[1] for event in world.events] == ["Finalizing (1%)", "Muxing 3/7"]
