"""One claimed order and its one POST: what is recorded and reported, whatever comes of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from submit_support import World

from seedance_dagster.api import errors
from seedance_dagster.api.account import AccountInfo
from seedance_dagster.engine.events import Ended, Submitted
from seedance_dagster.engine.lifecycle import ONE_REFUSED, SENT_AGAIN
from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.throttle import PLAN_LIMIT, Throttle
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import LedgerUnavailableError, StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.work.render_times import Kind, RenderTimes
from seedance_dagster.money import Window


@pytest.fixture
def world(ledger, clock, orders):
    claimed = orders.make(State.CLAIMED, "a cat")
    ledger.leases.renew("w", [claimed.order_id], seconds=60)
    return World(ledger, clock, ledger.queries.get(claimed.order_id))


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


async def test_an_unavailable_ledger_fails_before_anything_is_sent(world, ledger, monkeypatch):
    """Everything is looked up before the POST: after its answer there are only writes."""
    monkeypatch.setattr(ledger.workload, "render_times", raising(LedgerUnavailableError("locked")))
    await world.handle()
    assert (world.posts, world.order, world.worker.possibly_sent) == (0, world.claimed, set())


async def test_a_submitted_order_is_recorded_with_its_task(world, ledger, monkeypatch):
    """The task's id is recorded, the first poll planned, and the submission reported."""
    times = RenderTimes([(Kind("seedance-2-fast"), 100.0)])
    monkeypatch.setattr(ledger.workload, "render_times", lambda: times)
    assert await world.handle() == []
    assert (world.order.state, world.order.task_id) == (State.SUBMITTED, "task-7")
    assert world.wait == timedelta(seconds=90)
    assert world.events == [Submitted(world.order)]
    assert world.worker.possibly_sent == set()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda world: world.clock.forward(seconds=30), "lease ran low"),
        (lambda world: setattr(world, "throttle", Throttle(0, ("off-peak only",))), "off-peak only"),
        (lambda world: setattr(world, "throttle", Throttle(1)), "only 1 task may be in flight"),
    ],
)
async def test_what_changes_while_a_claim_waits_for_its_post_holds_it_back(world, orders, change, words):
    """A low lease, a pause, off-peak hours and fewer slots are looked at right before the POST."""
    orders.make(State.SUBMITTED, "another")
    world.before_look = lambda: change(world)
    await world.handle()
    assert world.posts == 0
    assert (world.order.state, world.wait) == (State.QUEUED, timedelta(0))
    assert words in world.order.error_message
    assert world.worker.possibly_sent == set()


async def test_a_claim_that_another_worker_reconciles_is_not_sent(world, ledger, clock):
    """A worker that was stopped for longer than its lease sends nothing on waking (case v17)."""

    def stopped() -> None:
        clock.forward(seconds=600)
        ledger.claims.expire(actor="other")

    world.before_look = stopped
    with pytest.raises(StaleOrderError):
        await world.handle()
    assert (world.posts, world.order.state) == (0, State.UNCERTAIN)


@pytest.mark.parametrize(
    ("error", "kind", "seconds"),
    [
        (errors.PlanLimitError("full", active=2), "plan limit", 5),
        (errors.PlanLimitError("full"), "plan limit", 5),
        (errors.RateLimitError("slow down", retry_after_s=7), "rate limit", 7),
        (errors.InsufficientCreditsError("no credits"), "credits", 60),
        (errors.AuthenticationError("bad key"), "credentials", 60),
        (errors.NotSentError("no network"), "network", 15),
    ],
)
async def test_a_refused_order_returns_to_the_queue_and_submitting_pauses(
    world, ledger, error, kind, seconds
):
    """No task was made: submitting pauses for all, and the order is queued with the vendor's words."""
    world.answer = error
    assert await world.handle() == [str(error)]
    assert world.pauses == {kind: seconds}
    assert (world.order.state, world.order.error_message) == (State.QUEUED, str(error))
    assert world.wait == timedelta(seconds=seconds)
    assert world.worker.possibly_sent == set()
    active = getattr(error, "active", None)
    observed = ledger.observations.recall(PLAN_LIMIT)
    assert [observation.value for observation in observed.values()] == ([active] if active else [])


def refused_key(words):
    return errors.AuthenticationError("", reply=words), f"{words}, {ONE_REFUSED}", "invalid"


def vendor_trouble(words):
    return errors.InvalidRequestError(words, failure="vendor"), f"{words}; {SENT_AGAIN}", "vendor"


@pytest.mark.parametrize("refuse", [refused_key, vendor_trouble])
async def test_an_order_that_alone_is_refused_is_tried_three_times(world, ledger, refuse):
    """No other order waits, and an id that makes the vendor's words differ each time counts nothing (v13)."""
    world.account_answer = AccountInfo.parse({"plan": "pro"})
    for number in range(3):
        world.answer, reason, error_class = refuse(f"no (request id: {number})")
        await world.handle()
        if number < 2:
            assert (world.order.state, world.order.error_message) == (State.QUEUED, reason)
            assert (world.pauses, world.wait) == ({}, timedelta(seconds=30))
            world.clock.forward(seconds=30)
            [world.claimed] = ledger.claims.take("w", limit=1, max_in_flight=None, lease_s=60)
    assert (world.order.state, world.order.error_class) == (State.FAILED, error_class)
    assert "no (request id: 2)" in world.order.error_message
    assert (world.posts, world.pauses) == (3, {})


async def test_an_account_that_is_down_says_nothing_about_the_key(world):
    """Then submitting pauses for all, as for a key that is refused."""
    world.answer = errors.AuthenticationError("bad key")
    world.account_answer = errors.TransportError("no answer")
    await world.handle()
    assert world.pauses == {"credentials": 60}


async def test_an_unclear_answer_leaves_the_order_uncertain(world):
    """An order that may have been paid for is reconciled before anything is sent again."""
    world.answer = errors.UnknownOutcomeError("the answer was lost")
    assert await world.handle() == ["outcome unknown: the answer was lost"]
    assert (world.order.state, world.order.error_message) == (State.UNCERTAIN, "the answer was lost")
    assert world.posts == 1


@pytest.mark.parametrize(("failure", "state"), [("invalid", State.FAILED), ("moderation", State.REJECTED)])
async def test_a_refused_request_ends(world, ledger, failure, state):
    """The vendor's words end the order at no cost, and its end is reported."""
    world.answer = errors.InvalidRequestError("refused in words", failure=failure)
    await world.handle()
    order = world.order
    assert (order.state, order.error_class, order.error_message) == (state, failure, "refused in words")
    assert world.events == [Ended(order)]
    [usage] = ledger.budgets.usage([Budget(window=Window.DAY, points=10_000_000)])
    assert (usage.reserved, usage.spent) == (0, 0)


async def test_an_order_whose_task_another_order_owns_becomes_uncertain(world, ledger, monkeypatch):
    """An equal order adopted this answer's task meanwhile: this one takes its place."""
    reason = "task task-7 belongs to order 3 already"
    monkeypatch.setattr(ledger.tasks, "submitted", raising(TaskOwnedError(reason)))
    assert await world.handle() == [f"outcome unknown: {reason}"]
    assert (world.order.state, world.order.error_message) == (State.UNCERTAIN, reason)


@pytest.mark.parametrize("error", [LedgerUnavailableError("locked"), StaleOrderError("order 7 moved on")])
async def test_a_task_that_cannot_be_recorded_is_named(world, ledger, monkeypatch, error, caplog):
    """The id of a paid task is in the log and in the events when the ledger cannot record it."""
    monkeypatch.setattr(ledger.tasks, "submitted", raising(error))
    [reason] = await world.handle()
    assert reason == f"task task-7 was made but not recorded: {error}"
    assert reason in caplog.text.replace(f" for order {world.claimed.order_id}", "")
    assert world.posts == 1


async def test_a_stopped_worker_waits_for_the_answer(world):
    """A POST under way is answered and recorded before the worker ends."""
    world.reply.clear()
    sending = asyncio.create_task(world.handle())
    await world.sent.wait()
    sending.cancel()
    await asyncio.sleep(0)
    assert world.order.state is State.CLAIMED
    world.reply.set()
    await asyncio.wait({sending})
    assert sending.cancelled()
    assert (world.order.state, world.order.task_id) == (State.SUBMITTED, "task-7")


async def test_a_stopped_worker_does_not_wait_forever(world):
    """Without an answer the order stays one that was possibly sent."""
    world.under(Pacing(answer_s=0.01))
    world.reply.clear()
    sending = asyncio.create_task(world.handle())
    await world.sent.wait()
    sending.cancel()
    await asyncio.wait({sending})
    assert sending.cancelled()
    assert world.order.state is State.CLAIMED
    assert world.worker.possibly_sent == {world.claimed.order_id}


@pytest.mark.parametrize(("slots", "claimed"), [(0, 0), (3, 2), (None, 4)])
async def test_a_submitter_claims_as_many_orders_as_there_are_slots(world, orders, slots, claimed):
    """Nothing is claimed without slots, nor more than there are; one is taken by the claimed order."""
    only = [order.order_id for order in orders.place(*(f"p{number}" for number in range(6)))][:4]
    world.throttle = Throttle(slots)
    taken = await world.submitter.take(9, only)
    assert [order.order_id for order in taken] == only[:claimed]
    assert {order.lease_owner for order in taken} <= {"w"}
    assert len(await world.submitter.take(1, None)) == (slots is None)
