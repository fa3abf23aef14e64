"""The rate limit of a process."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.transport import Pacer, shared_pacer


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


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_positive(rate):
    """A rate that is not positive is refused."""
    with pytest.raises(ValueError, match="must be a positive number"):
        Pacer(rate)


def test_a_host_has_one_pacer():
    """Clients of the same host and rate share one pacer."""
    assert shared_pacer("https://a.example", 3) is shared_pacer("https://a.example", 3)
    assert shared_pacer("https://a.example", 3) is not shared_pacer("https://b.example", 3)
