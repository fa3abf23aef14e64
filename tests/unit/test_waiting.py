"""A waiting run names what it waits for, and the remedy for a sensor that does not tick."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import pytest
from harness import no_client
from stores import MemoryStore

from seedance_dagster.engine.events import Waiting
from seedance_dagster.engine.policy import Pacing, Policy
from seedance_dagster.engine.runtime.maintenance import Maintenance
from seedance_dagster.engine.runtime.sensor_ticks import remember_tick, sensor_trouble
from seedance_dagster.engine.runtime.waiting import describe_progress, describe_wait, waits_for_slots
from seedance_dagster.engine.runtime.watch import OrderWatch
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.order import State


@pytest.mark.parametrize(
    ("states", "throttle", "in_flight", "words"),
    [
        ({State.SUBMITTED: 1}, Throttle(4), 1, "waiting for 1 video: 1 at the vendor"),
        (
            {State.QUEUED: 2, State.SUCCEEDED: 1, State.UNCERTAIN: 1},
            Throttle(2),
            2,
            "waiting for 4 videos: 2 queued, 1 uncertain, 1 to be stored; 2 of 2 slots are taken",
        ),
        (
            {State.QUEUED: 1},
            Throttle(0, ("off-peak only",)),
            0,
            "waiting for 1 video: 1 queued; off-peak only",
        ),
        ({State.SUBMITTED: 1}, Throttle(0, ("off-peak only",)), 1, "waiting for 1 video: 1 at the vendor"),
    ],
)
def test_a_run_says_what_it_waits_for(states, throttle, in_flight, words):
    """It counts its orders by what happens to them, and says what holds queued ones."""
    assert describe_wait(Counter(states), throttle, in_flight) == words


@pytest.mark.parametrize(
    ("stored", "left", "words"),
    [
        (0, None, "0 of 24 videos are stored"),
        (1, timedelta(seconds=20), "1 of 24 videos is stored, about a minute left"),
        (7, timedelta(seconds=370), "7 of 24 videos are stored, about 6 min left"),
    ],
)
def test_a_run_says_how_far_it_is(stored, left, words):
    """It counts the videos that it waited for, and guesses the rest from what such tasks took."""
    assert describe_progress(stored, 24, left) == words


def test_only_full_slots_are_waited_for():
    """Only full slots make a run work on other runs' orders, not a pause or a missing limit."""
    queued = {State.QUEUED: 1}
    assert waits_for_slots(queued, Throttle(2), 2)
    for states, slots, in_flight in ((queued, 0, 2), (queued, None, 9), (queued, 3, 2), ({}, 2, 2)):
        assert not waits_for_slots(states, Throttle(slots), in_flight)


def test_a_sensor_that_does_not_tick_is_said_with_the_remedy(ledger, clock):
    """It never did, it stopped, or a clock that was ahead holds it back (case m34)."""
    assert "has never ticked" in sensor_trouble(ledger, now=clock())
    remember_tick(ledger)
    assert sensor_trouble(ledger, now=clock()) is None
    clock.forward(minutes=6)
    assert "has not ticked since 2026-04-06 18:00 UTC" in sensor_trouble(ledger, now=clock())
    clock.forward(hours=26)
    remember_tick(ledger)
    clock.forward(hours=-26)
    trouble = sensor_trouble(ledger, now=clock())
    assert "Dagster starts no tick before that time" in trouble
    assert "`dagster schedule wipe`" in trouble


def test_a_waiting_run_reports_itself_and_the_sensor(ledger, orders, clock, monkeypatch):
    """Its log shows what it waits for, and why nothing else helps."""
    waited = orders.place("mine")
    orders.make(State.SUBMITTED, "theirs")
    services = Services(
        ledger=ledger,
        open_client=no_client,
        store=MemoryStore(),
        clock=clock,
        policy=Policy(max_in_flight=1, pacing=Pacing(waiting_s=0)),
    )
    watch = OrderWatch(services, [order.order_id for order in waited])
    reasons: list[str] = []

    async def emit(event: object) -> None:
        if isinstance(event, Waiting):
            reasons.append(event.reason)

    asyncio.run(Maintenance(Worker("w", services, SimpleNamespace()), watch, emit, list).run_once())
    assert reasons[0] == "0 of 1 video is stored; waiting for 1 video: 1 queued; 1 of 1 slot is taken"
    assert "seedance_sensor has never ticked" in reasons[1]
    assert watch.workable() is None, "it polls and stores what holds the slot"
