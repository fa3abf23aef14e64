"""One look at one task, and what is written down and told of it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from ledger_states_support import NOW, make_order, make_task

from seedance_dagster.api.errors import NotFoundError, TransportError
from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.engine.events import Delayed, Ended
from seedance_dagster.engine.stages.poll import Poller
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.order import State

URL = "https://files.example.com/v.mp4"


class World:
    """A ledger and a vendor that note what a poller does."""

    def __init__(self, *answers: object, again: object = None) -> None:
        self.answers = list(answers)
        self.again = again
        self.wrote: list[tuple[object, ...]] = []
        self.events: list[object] = []
        self.looks = 0
        services = SimpleNamespace(ledger=self, clock=lambda: NOW)
        self.poller = Poller(Worker("w", services, self), self.emit)

    async def get_task(self, task_id):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def lease_due(self, owner, state, *, limit, only):
        return [(owner, state, limit, only)]

    def render_seconds(self, task_type):
        self.looks += 1
        return 100.0

    def polled(self, order, *, due_at, seen):
        self.wrote.append(("polled", due_at - NOW, seen.get("error_message")))

    def succeeded(self, order, *, actor, task):
        self.wrote.append(("succeeded", actor, task["video_url"]))

    def ended(self, order, state, *, actor, error_class, reason, task, retry_at):
        self.wrote.append(("ended", state, actor, error_class, reason, retry_at))
        return order, self.again

    async def emit(self, event):
        self.events.append(event)


async def test_a_task_at_work_is_noted_and_not_told():
    """Nothing happened: the next look is planned by how long such tasks took, which is asked once."""
    world = World(make_task(), make_task())
    for order_id in (1, 2):
        await world.poller.handle(make_order(order_id))
    assert [(what, error) for what, _, error in world.wrote] == [("polled", None)] * 2
    # One minute old of an expected hundred seconds: in half a minute, and up to a quarter more.
    assert all(timedelta(seconds=30) <= wait <= timedelta(seconds=37.5) for _, wait, _ in world.wrote)
    assert (world.events, world.looks) == ([], 1)
    assert (world.poller.polled, world.poller.finished) == (2, 0)


async def test_a_finished_task_is_handed_on():
    """The video is to be collected, and its link is kept."""
    world = World(make_task(status=TaskStatus.COMPLETED, video_url=URL))
    await world.poller.handle(make_order())
    assert world.wrote == [("succeeded", "w", URL)]
    assert (world.events, world.poller.finished) == ([], 1)


@pytest.mark.parametrize("again", [None, "the next attempt"])
async def test_a_failed_task_ends_or_is_tried_again(again):
    """The end of an order is told as such only when no attempt follows."""
    task = make_task(status=TaskStatus.FAILED, logs=("upstream error",), error_code=10000, points_held=0)
    world = World(task, again=again)
    await world.poller.handle(make_order())
    [(what, state, actor, error_class, reason, retry_at)] = world.wrote
    assert (what, state, actor) == ("ended", State.FAILED, "w")
    assert (error_class, reason) == ("vendor", "upstream error")
    assert retry_at == NOW + timedelta(seconds=30)
    [event] = world.events
    assert isinstance(event, Delayed if again else Ended)


@pytest.mark.parametrize("error", [TransportError("no answer"), NotFoundError("no such task")])
async def test_a_look_that_fails_ends_nothing(error):
    """A vendor that is gone, or denies the task, is told, and the task is looked at again."""
    world = World(error)
    await world.poller.handle(make_order())
    assert world.wrote == [("polled", timedelta(seconds=15), str(error))]
    [event] = world.events
    assert isinstance(event, Delayed)
    assert event.reason == str(error)
    assert (world.poller.polled, world.poller.finished) == (1, 0)


async def test_a_poller_takes_what_is_submitted():
    """Only submitted orders, in its own name, so many, of those that are asked for."""
    assert await World().poller.take(9, [3]) == [("w", State.SUBMITTED, 9, [3])]
