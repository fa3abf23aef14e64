"""Rate limits: of a process, and shared by several."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.pacing import Pacer, SharedPacer, process_pacer


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_reservations_are_evenly_spaced():
    """Simultaneous requests are spread over the following seconds."""
    pacer = Pacer(10, monotonic=Clock())
    assert [round(pacer.reserve(), 3) for _ in range(4)] == [0, 0.1, 0.2, 0.3]


def test_idle_time_allows_no_burst():
    """After an idle period only one request goes at once."""
    clock = Clock()
    pacer = Pacer(10, monotonic=clock)
    pacer.reserve()
    clock.now += 60
    assert [round(pacer.reserve(), 3) for _ in range(3)] == [0, 0.1, 0.2]


@given(st.floats(0.5, 100), st.lists(st.floats(0, 1), max_size=50))
def test_the_limit_holds_at_all_times(rate, gaps):
    """Whenever requests come, any two are at least the spacing apart."""
    clock, slots = Clock(), []
    pacer = Pacer(rate, monotonic=clock)
    for gap in gaps:
        clock.now += gap
        slots.append(clock.now + pacer.reserve())
    assert all(later - earlier > 0.999 / rate for earlier, later in pairwise(slots))


async def test_waiting_sleeps_until_the_reserved_time(monkeypatch):
    """The first request does not wait, the second waits for its time."""
    slept = []

    async def note(delay):
        slept.append(delay)

    monkeypatch.setattr(asyncio, "sleep", note)
    pacer = Pacer(4, monotonic=Clock())
    await pacer.wait()
    await pacer.wait()
    assert slept == [0.25]


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("pacer", [Pacer, lambda rate: SharedPacer(rate, lambda _seconds: 0.0)])
def test_a_rate_must_be_positive(rate, pacer):
    """A rate that is not positive, or without end, is refused."""
    with pytest.raises(ValueError, match="must be a positive number"):
        pacer(rate)


def test_a_host_has_one_pacer():
    """Clients of the same host and rate share one pacer."""
    assert process_pacer("https://a.example", 3) is process_pacer("https://a.example", 3)
    assert process_pacer("https://a.example", 3) is not process_pacer("https://b.example", 3)


class Shared:
    """A shared rate in which nobody else reserves anything, or another process has before."""

    def __init__(self, clock: Clock, taken_s: float = 0.0):
        self.clock, self.until, self.stretches = clock, clock.now + taken_s, []

    def __call__(self, seconds: float) -> float:
        begin = max(self.clock.now, self.until)
        self.until = begin + seconds
        self.stretches.append(round(seconds, 3))
        return begin - self.clock.now


@pytest.fixture
def slept(monkeypatch):
    """The waits of requests, which take no time."""
    slept = []

    async def note(delay):
        slept.append(round(delay, 3))

    monkeypatch.setattr("seedance_dagster.api.pacing.asyncio.sleep", note)
    return slept


async def test_requests_that_wait_share_one_reservation(slept):
    """The first request reserves for itself, and the next reservation serves all that came meanwhile."""
    clock = Clock()
    shared = Shared(clock)
    pacer = SharedPacer(5, shared, monotonic=clock)
    await asyncio.gather(*(pacer.wait() for _ in range(5)))
    assert shared.stretches == [0.2, 0.8]
    assert slept == [0.2, 0.4, 0.6, 0.8]
    await pacer.wait()
    assert (shared.stretches, slept[-1]) == ([0.2, 0.8, 0.2], 1.0)


async def test_a_stretch_that_begins_later_is_waited_for(slept):
    """A request waits for the stretches of other processes that come first."""
    clock = Clock()
    await SharedPacer(5, Shared(clock, taken_s=3), monotonic=clock).wait()
    assert slept == [3]


async def test_a_fast_rate_is_reserved_ten_times_a_second_at_most(slept):
    """A stretch is at least a tenth of a second long; what was not used in time is lost."""
    clock = Clock()
    shared = Shared(clock)
    pacer = SharedPacer(1000, shared, monotonic=clock)
    for _ in range(100):
        await pacer.wait()
        clock.now += 0.001
    assert shared.stretches == [0.1]
    clock.now += 60
    await pacer.wait()
    await pacer.wait()
    assert shared.stretches == [0.1, 0.1]
    assert slept[-1] == 0.001


async def test_a_process_keeps_the_rate_without_the_others(slept):
    """While nothing can be reserved, its own requests stay evenly spaced."""
    pacer = SharedPacer(5, lambda _seconds: 0.0, monotonic=Clock())
    for _ in range(4):
        await pacer.wait()
    assert slept == [0.2, 0.4, 0.6]
