"""One claimed order and its one POST: what is written down and told, whatever comes of it."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from types import SimpleNamespace

import pytest
import stamina
from ledger_states_support import NOW, make_order, make_task

from seedance_dagster.api import errors
from seedance_dagster.engine.events import Delayed, Ended, Submitted
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import LedgerUnavailableError, StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import State

CLAIMED = make_order(7, state=State.CLAIMED, task_id=None, submitted_at=None, lease_owner="w")


class World:
    """A ledger and a vendor that note what a submitter does; `record` is what the ledger makes of a task."""

    def __init__(self, answer: object = None, *, record: Exception | None = None, sure: bool = True) -> None:
        self.answer = answer or make_task(7)
        self.record = record
        self.sure = sure
        self.locked: Exception | None = None
        self.throttle = Throttle(5)
        self.wrote: list[tuple[object, ...]] = []
        self.events: list[object] = []
        self.posts = 0
        self.left, self.reply = asyncio.Event(), asyncio.Event()
        self.reply.set()
        services = SimpleNamespace(
            ledger=self, policy=Policy(lease_s=60), clock=lambda: NOW, throttle=lambda: self.throttle
        )
        self.worker = Worker("w", services, self)
        self.submitter = Submitter(self.worker, self.emit)

    async def create_task(self, request):
        assert request.prompt == "a cat"
        assert self.worker.possibly_sent == {7}
        self.posts += 1
        self.left.set()
        await self.reply.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def claim_is_valid(self, order, *, margin_s):
        assert margin_s == 30
        return self.sure

    def claim(self, owner, *, limit, max_in_flight, only, **_):
        return [(owner, limit, max_in_flight, only)]

    def render_seconds(self, task_type):
        if self.locked is not None:
            raise self.locked
        return 100.0

    def find(self, *, task_id):
        return []

    def submitted(self, order, *, actor, due_at, task):
        if self.record is not None:
            raise self.record
        self.wrote.append(("submitted", task["task_id"], due_at - NOW))
        return order

    def requeue(self, order, *, actor, due_at, reason):
        self.wrote.append(("queued", due_at - NOW, reason))

    def uncertain(self, order, *, actor, reason):
        self.wrote.append(("uncertain", reason))

    def ended(self, order, state, *, actor, error_class, reason, task):
        self.wrote.append((str(state), error_class, reason))
        return order, None

    def pause(self, kind, *, until, message):
        self.wrote.append(("pause", kind, until - NOW))
        assert message

    def learn(self, told):
        self.wrote.append(("learned", told))

    async def emit(self, event):
        self.events.append(event)

    async def handle(self) -> list[str]:
        """Send the order; gives what was told, in words."""
        with stamina.set_testing(True, attempts=2), contextlib.suppress(LedgerUnavailableError):
            await self.submitter.handle(CLAIMED)
        return [event.reason for event in self.events if isinstance(event, Delayed)]


async def test_a_ledger_that_is_not_there_fails_before_anything_is_sent():
    """What is looked up is looked up before the POST: its answer is only written down."""
    world = World()
    world.locked = LedgerUnavailableError("locked")
    await world.handle()
    assert (world.posts, world.wrote, world.worker.possibly_sent) == (0, [], set())


async def test_an_order_that_was_taken_is_recorded_with_its_task():
    """The task's id is written down, the first look planned, and it is told."""
    world = World()
    assert await world.handle() == []
    assert world.wrote == [("submitted", "task-7", timedelta(seconds=90))]
    assert [type(event) for event in world.events] == [Submitted]
    assert world.worker.possibly_sent == set()


async def test_a_claim_that_is_not_sure_is_not_sent():
    """When the lease runs low somebody else may settle the claim: what is not sent is not paid twice."""
    world = World(sure=False)
    await world.handle()
    assert world.posts == 0
    [(state, wait, reason)] = world.wrote
    assert (state, wait) == ("queued", timedelta(0))
    assert "lease ran low" in reason


@pytest.mark.parametrize(
    ("error", "wrote"),
    [
        (
            errors.PlanLimitError("full", active=2),
            [("learned", {"plan_limit": 2}), ("pause", "plan limit", 5)],
        ),
        (errors.PlanLimitError("full"), [("pause", "plan limit", 5)]),
        (errors.RateLimitError("slow down", retry_after_s=7), [("pause", "rate limit", 7)]),
        (errors.InsufficientCreditsError("no credits"), [("pause", "credits", 60)]),
        (errors.AuthenticationError("bad key"), [("pause", "credentials", 60)]),
        (errors.NotSentError("no network"), [("pause", "network", 15)]),
    ],
)
async def test_a_refused_order_waits_in_the_queue_and_all_with_it(error, wrote):
    """No task was made: submitting pauses for all, and the order goes back with the vendor's words."""
    world = World(error)
    assert await world.handle() == [str(error)]
    *earlier, (kind, what, seconds) = wrote
    wait = timedelta(seconds=seconds)
    assert world.wrote == [*earlier, (kind, what, wait), ("queued", wait, str(error))]
    assert world.worker.possibly_sent == set()


async def test_an_unclear_answer_leaves_the_order_uncertain():
    """What may have been paid for is settled before anything is sent again."""
    world = World(errors.UnknownOutcomeError("the answer was lost"))
    assert await world.handle() == ["outcome unknown: the answer was lost"]
    assert world.wrote == [("uncertain", "the answer was lost")]
    assert world.posts == 1


async def test_an_invalid_request_ends():
    """The vendor's words end the order, and it is told as ended."""
    world = World(errors.InvalidRequestError("no such ratio"))
    await world.handle()
    assert world.wrote == [("failed", "invalid", "no such ratio")]
    assert [type(event) for event in world.events] == [Ended]


async def test_a_task_that_another_order_took_leaves_this_one_uncertain():
    """An equal order was settled with this answer's task meanwhile: this one takes its place."""
    world = World(record=TaskOwnedError("task task-7 belongs to order 3 already"))
    assert await world.handle() == ["outcome unknown: task task-7 belongs to order 3 already"]
    assert world.wrote == [("uncertain", "task task-7 belongs to order 3 already")]


@pytest.mark.parametrize("error", [LedgerUnavailableError("locked"), StaleOrderError("order 7 moved on")])
async def test_a_task_that_cannot_be_recorded_is_named(error, caplog):
    """A paid task's id stands in the log and in the events when the ledger cannot take it."""
    world = World(record=error)
    [told] = await world.handle()
    assert told == f"task task-7 was made but not recorded: {error}"
    assert told in caplog.text.replace(" for order 7", "")
    assert world.posts == 1


async def test_a_worker_that_is_stopped_listens_for_the_answer():
    """A POST under way is answered and recorded before the worker goes."""
    world = World()
    world.reply.clear()
    sending = asyncio.create_task(world.handle())
    await world.left.wait()
    sending.cancel()
    await asyncio.sleep(0)
    assert world.wrote == []
    world.reply.set()
    await asyncio.wait({sending})
    assert sending.cancelled()
    assert world.wrote == [("submitted", "task-7", timedelta(seconds=90))]


async def test_a_worker_that_is_stopped_does_not_listen_for_ever(monkeypatch):
    """An answer that does not come leaves the order as one that may have left."""
    monkeypatch.setattr("seedance_dagster.engine.stages.submit._ANSWER_GRACE_S", 0.01)
    world = World()
    world.reply.clear()
    sending = asyncio.create_task(world.handle())
    await world.left.wait()
    sending.cancel()
    await asyncio.wait({sending})
    assert sending.cancelled()
    assert (world.wrote, world.worker.possibly_sent) == ([], {7})


@pytest.mark.parametrize(
    ("throttle", "taken"),
    [
        (Throttle(0, ("paused",)), []),
        (Throttle(3), [("w", 9, 3, [7])]),
        (Throttle(None), [("w", 9, None, [7])]),
    ],
)
async def test_a_submitter_takes_what_the_gate_lets_through(throttle, taken):
    """Nothing is claimed at a closed gate, and no more than it has places for."""
    world = World()
    world.throttle = throttle
    assert await world.submitter.take(9, [7]) == taken
