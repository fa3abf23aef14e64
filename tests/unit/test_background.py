"""The engine's thread behind a plain loop."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from seedance_dagster.engine.runtime import background
from seedance_dagster.engine.runtime.background import in_background


def test_events_arrive_in_order_and_the_loop_ends():
    """A stream's events come through, in their order, also when there are many."""

    async def stream():
        for number in range(500):
            yield number

    with in_background(stream) as events:
        assert list(events) == list(range(500))


def test_work_goes_on_while_the_caller_is_busy():
    """The stream runs on while its reader does something else."""
    went_on = threading.Event()

    async def stream():
        yield 1
        went_on.set()
        yield 2

    with in_background(stream) as events:
        assert next(events) == 1
        assert went_on.wait(5)


def test_an_error_of_the_stream_is_raised_to_the_reader():
    """What the engine raises reaches the run."""

    async def stream():
        yield 1
        raise ValueError("broken")

    with in_background(stream) as events, pytest.raises(ValueError, match="broken"):
        list(events)


def test_leaving_early_lets_the_stream_clean_up():
    """A terminated run waits until the engine has given everything back."""
    cleaned = []

    async def stream():
        try:
            yield 1
            await asyncio.sleep(3600)
            yield 2
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("clean")

    def interrupted():
        with in_background(stream) as events:
            next(events)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cleaned == ["clean"]
    assert "seedance-engine" not in {thread.name for thread in threading.enumerate()}


def test_a_reader_that_stops_reading_does_not_hang():
    """Leaving with many unread events ends the engine all the same."""

    async def stream():
        number = 0
        while True:
            yield number
            number += 1

    with in_background(stream) as events:
        assert next(events) == 0


def test_events_before_an_error_are_read_before_it():
    """What happened before a fault is told, then the fault is raised."""

    async def stream():
        for number in range(200):
            yield number
        raise ValueError("broken")

    seen = []
    with in_background(stream) as events, pytest.raises(ValueError, match="broken"):
        seen.extend(events)
    assert seen == list(range(200))


def test_a_stream_that_cannot_be_made_is_an_error_to_the_reader():
    """A fault before the first event reaches the reader as well."""

    def make():
        raise LookupError("no ledger")

    with in_background(make) as events, pytest.raises(LookupError, match="no ledger"):
        next(events)


def test_a_stream_waits_for_a_reader_that_is_far_behind(monkeypatch):
    """Not more than so many events are kept unread."""
    monkeypatch.setattr(background, "_UNREAD_EVENTS", 3)
    made = []

    async def stream():
        for number in range(50):
            made.append(number)
            yield number

    with in_background(stream) as events:
        for number in events:
            assert len(made) - number <= 3 + 3  # unread, in hand at both ends, and the next
    assert made == list(range(50))


def test_a_waiting_reader_can_be_interrupted(monkeypatch):
    """A signal reaches a run that waits for an event, and the engine still cleans up."""
    monkeypatch.setattr(background, "_LOOK_S", 0.01)
    cleaned = []

    async def stream():
        try:
            asyncio.get_running_loop().call_soon(
                signal.pthread_kill, threading.main_thread().ident, signal.SIGINT
            )
            await asyncio.sleep(3600)
            yield 1
        finally:
            cleaned.append("clean")

    def interrupted():
        with in_background(stream) as events:
            next(events)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
    assert cleaned == ["clean"]
