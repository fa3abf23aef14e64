"""Limits over real HTTP: orders wait for money, slots, the hour or the day, say so, and go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest
from factories import make_prompt_set
from harness import FAST
from plant_support import events_of, one_clock, waiting_run
from pydantic import SecretStr
from stepped_engine import stepped_engine

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.engine.events import Ended, Stored
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.throttle import PLAN_LIMIT
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.money import Window, points_to_usd

pytestmark = pytest.mark.integration
A_VIDEO = 4_000_000  # points of four seconds


@pytest.fixture
def at(start_engine):
    """An engine whose vendor has its clock, so that minutes pass on both sides."""

    @contextmanager
    def start(policy=None, **settings):
        pacing = replace(FAST, account_s=0.05)
        with start_engine({"pacing": pacing} | (policy or {}), **settings) as engine:
            one_clock(engine)
            yield engine

    return start


def at_hour(engine, hour: int) -> None:
    """Go on to the next time that it is this hour, UTC."""
    now = engine.services.clock()
    then = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    engine.services.clock.forward(seconds=((then - now) % timedelta(days=1)).total_seconds())


def two_workers(engine, accepted) -> None:
    """Run two workers that wait for the same orders."""
    ids = [placement.order.order_id for placement in accepted]

    async def both() -> None:
        await asyncio.gather(*(events_of(engine.services, owner=name, only=ids) for name in ("one", "two")))

    asyncio.run(both())


def most_at_once(engine) -> int:
    """Return the most tasks that were in flight at one moment."""
    moments = []
    for task in engine.books()["tasks"]:
        moments += [(datetime.fromisoformat(task["created_at"]), 1)]
        moments += [(datetime.fromisoformat(task["ended_at"]), -1)]
    active = peak = 0
    for _, change in sorted(moments):
        active += change
        peak = max(peak, active)
    return peak


def test_off_peak_orders_wait_and_are_sent_after(at):
    """In peak hours a waiting run says what it waits for; at 15:00 UTC it goes on automatically."""
    # So long that the lease is not low after the jump of five hours.
    with at({"off_peak_only": True, "lease_s": 360_000.0}) as engine:
        at_hour(engine, 10)
        accepted = engine.place("a cat")
        reasons = []

        def wait(reason: str) -> None:
            reasons.append((reason, engine.books()["summary"]["posts"]))
            at_hour(engine, 15)

        events = waiting_run(engine, accepted, on_delay=wait)
        assert reasons == [("off-peak only: queued orders wait until 15:00 UTC", 0)]
        assert isinstance(events[-1], Stored)


@pytest.mark.further
def test_without_credits_a_run_waits_and_goes_on_when_they_are_there(at):
    """The run says that credits are missing, posts nothing until they are bought, and then continues."""
    with at(points=1_000_000) as engine:
        reasons = []

        def buy(reason: str) -> None:
            reasons.append(reason)
            assert engine.books()["summary"]["posts"] == 0
            engine.control("settings", points=A_VIDEO)

        events = waiting_run(engine, engine.place("a cat"), on_delay=buy)
        [reason] = reasons
        assert reason == (
            "submitting pauses: out of credits: 0.10 USD are left, the cheapest queued order is estimated at "
            "0.40 USD; buy credits; submitting then goes on automatically"
        )
        assert isinstance(events[-1], Stored)
        assert engine.books()["summary"]["points_left"] == 0


@pytest.mark.further
def test_without_a_balance_a_refused_post_pauses(at):
    """The vendor's words are reported, and the order is sent again every minute until it is taken."""
    with at(points=0) as engine:
        engine.control("outage", seconds=86_400, scope="account")
        accepted = engine.place("a cat")
        reasons = []

        def buy(reason: str) -> None:
            reasons.append(reason)
            engine.control("settings", points=A_VIDEO)

        events = waiting_run(engine, accepted, on_delay=buy)
        assert "the vendor refused: insufficient credits (HTTP 402, code 10002)" in reasons[0]
        assert isinstance(events[-1], Stored)
        [order] = engine.services.ledger.queries.find()
        steps = [entry.to_state for entry in engine.services.ledger.queries.journal(order.order_id)]
        assert steps[:3] == ["queued", "claimed", "queued"]
        assert engine.books()["summary"]["tasks"] == 1


@pytest.mark.parametrize("points", [A_VIDEO, A_VIDEO + 1_000_000])
def test_money_for_one_order_is_spent_on_one(at, points):
    """The second order waits in the queue, with the reason."""
    with at(points=points) as engine:
        engine.place("a cat", "a dog")
        engine.run()
        assert sorted(engine.states().values()) == [State.QUEUED, State.STORED]
        assert "out of credits" in engine.services.throttle().problems[0]
        assert engine.books()["summary"]["tasks"] == 1


@pytest.mark.parametrize("shape", ["wallet", "credit_pack"])
@pytest.mark.long
def test_all_workers_keep_the_plan_s_limit(at, shape):
    """The limit comes from the account or, without it, from refused POSTs; two workers together keep it."""
    with at(plan_limit=3, account_shape=shape, render_seconds=60) as engine:
        two_workers(engine, engine.place(*(f"cat {number}" for number in range(7))))
        assert set(engine.states().values()) == {State.STORED}
        assert most_at_once(engine) == 3
        assert engine.services.ledger.observations.recall(PLAN_LIMIT)[PLAN_LIMIT].value == 3
        refused = engine.books()["summary"]["refusals"].get("plan-limit", 0)
        assert refused == 0 if shape == "wallet" else 1 <= refused <= 8


@pytest.mark.long
def test_two_workers_keep_a_configured_limit(at):
    """SEEDANCE_MAX_IN_FLIGHT applies to all processes of a ledger together."""
    with at({"max_in_flight": 2}, render_seconds=30) as engine:
        two_workers(engine, engine.place(*(f"cat {number}" for number in range(6))))
        assert set(engine.states().values()) == {State.STORED}
        assert most_at_once(engine) == 2


@pytest.mark.long
def test_prompt_sets_share_the_slots(at):
    """A small set that came later gets every other slot."""
    with at({"max_in_flight": 1}, render_seconds=1) as engine:
        engine.place(*(f"large {number}" for number in range(5)), name="large")
        engine.place("small 0", "small 1", name="small")
        engine.run()
        order = [task["request"]["input"]["prompt"].split()[0] for task in engine.books()["tasks"]]
        assert order == ["large", "small", "large", "small", "large", "large", "large"]


@pytest.mark.long
def test_submitting_stops_at_the_configured_number_of_rejections_until_the_next_day(at):
    """Rejections are booked with their penalties; nothing is sent after that until the next UTC day."""
    with at({"max_rejections_per_day": 3, "max_in_flight": 1}) as engine:
        at_hour(engine, 1)
        engine.place(*(f"cat {number} [fault:moderation]" for number in range(8)))
        events = engine.run()
        assert sorted(engine.states().values()) == [State.QUEUED] * 5 + [State.REJECTED] * 3
        assert sum(isinstance(event, Ended) for event in events) == 3
        [problem] = engine.services.throttle().problems
        assert problem.startswith(
            "3 prompts were rejected today, the limit is 3: nothing is sent until 00:00"
        )
        summary = engine.books()["summary"]
        assert (summary["posts"], summary["points_penalty"]) == (3, 3 * A_VIDEO // 100)
        charged = [
            order.points_charged for order in engine.services.ledger.queries.find(states={State.REJECTED})
        ]
        assert charged == [A_VIDEO // 100] * 3
        engine.services.clock.forward(days=1)
        engine.run()
        assert sorted(engine.states().values()) == [State.QUEUED] * 2 + [State.REJECTED] * 6


def test_a_retry_after_vendor_trouble_exceeds_no_budget(at):
    """The next attempt replaces the failed one, whose points came back, exactly to the point."""
    day = Budget(window=Window.DAY, points=2 * A_VIDEO)
    with at() as engine:
        wanted = make_prompt_set("a cat [fault:vendor-trouble*1]", "a dog [fault:vendor-trouble*2]")
        request = OrderRequest(idempotency_key="c", run_id="r")
        quotes = quote(engine.services, list(wanted.partitions.values()), request, prompt_set="spots")
        engine.run(place_orders(engine.services, quotes, request, budgets=[day]))
        ledger = engine.services.ledger
        assert {(order.partition, order.attempt): order.state for order in ledger.queries.find()} == {
            ("p0", 1): State.FAILED,
            ("p1", 1): State.FAILED,
            ("p0", 2): State.STORED,
            ("p1", 2): State.FAILED,
        }
        [standing] = ledger.budgets.usage([day])
        assert (standing.reserved, standing.spent) == (0, A_VIDEO)
        assert engine.books()["summary"]["points_charged"] == A_VIDEO


@pytest.mark.further
def test_a_refused_key_pauses_and_says_so(at):
    """With the right key the order is sent after a minute."""
    with at() as engine:
        accepted = engine.place("a cat")
        good = engine.services.open_client
        wrong = SecretStr("wrong-key")
        bad = replace(
            engine.services,
            open_client=lambda: SeedanceClient(
                api_key=wrong, base_url=engine.emulator.url, requests_per_second=1000
            ),
        )
        engine.services = bad
        engine.run()
        [problem] = engine.services.throttle().problems
        assert problem.startswith("credentials: the vendor refused: invalid API key (HTTP 401, code 401)")
        assert "check GOAPI_API_KEY" in problem
        assert "wrong-key" not in problem
        engine.services = replace(bad, open_client=good)
        assert isinstance(engine.run(accepted)[-1], Stored)


@pytest.fixture
def refusing(tmp_path, clock) -> Iterator[Callable[..., object]]:
    """An engine whose vendor refuses every POST in one way."""
    with stepped_engine(tmp_path, clock) as engine:

        def make(status: int, message: str, headers: dict[str, str]):
            def answer(request: httpx.Request) -> httpx.Response:
                body = {"code": status, "message": message, "data": None}
                return httpx.Response(status, json=body, headers=headers)

            engine.transport = httpx.MockTransport(answer)
            return engine

        yield make


@pytest.mark.parametrize(("retry_after", "seconds"), [("37", 37), (None, 10), ("0", 10), ("3600", 3600)])
def test_429_pauses_for_as_long_as_the_vendor_says(refusing, clock, retry_after, seconds):
    """One refused POST pauses all processes, to the second."""
    engine = refusing(429, "too many requests", {} if retry_after is None else {"Retry-After": retry_after})
    engine.place("a cat", "a dog", "a fish")
    engine.submit()
    assert {order.state for order in engine.ledger.queries.find()} == {State.QUEUED}
    clock.forward(seconds=seconds - 1)
    assert engine.services.throttle().slots == 0
    assert engine.submit() == []
    clock.forward(seconds=1)
    assert engine.services.throttle().slots is None
    assert len(engine.submit()) == 3


def test_the_reason_of_a_refused_post_stays_on_the_order_and_in_the_journal(refusing):
    """The order and its journal keep the reason why the order was queued again."""
    engine = refusing(429, "active task count 4 has reached the plan limit", {})
    engine.place("a cat")
    [order] = engine.submit()
    words = "the vendor refused: active task count 4 has reached the plan limit (HTTP 429, code 429)"
    assert order.error_message == words
    assert engine.ledger.queries.journal(order.order_id)[-1].detail == {"reason": words}
    assert engine.services.throttle().reasons == (f"submitting pauses: plan limit: {words}",)
    assert engine.ledger.observations.recall(PLAN_LIMIT)[PLAN_LIMIT].value == 4
    assert points_to_usd(order.estimated_points) > 0
