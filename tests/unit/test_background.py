"""The engine in a thread of its own, read by a plain loop."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest
from factories import make_order

from seedance_dagster.engine.events import Ended, Stored, Submitted
from seedance_dagster.engine.runtime.background import in_background


def numbers(count: int, *, then: Exception | None = None, emitted: list[int] | None = None):
    """Return work that emits numbers, and may fail after them."""

    async def work(emit):
        for number in range(count):
            if emitted is not None:
                emitted.append(number)
            await emit(number)
        if then is not None:
            raise then

    return work


def test_events_arrive_in_order_and_the_loop_ends():
    """All events come through, in their order, also when there are many."""
    with in_background(numbers(500)) as events:
        assert list(events) == list(range(500))


def test_work_goes_on_while_the_caller_is_busy():
    """The engine works while its caller does something else."""
    went_on = threading.Event()

    async def work(emit):
        await emit(1)
        went_on.set()
        await emit(2)

    with in_background(work) as events:
        assert next(events) == 1
        assert went_on.wait(5)


def test_an_error_is_raised_to_the_caller():
    """An error of the engine reaches the run."""
    with (
        in_background(numbers(1, then=ValueError("broken"))) as events,
        pytest.raises(ValueError, match="broken"),
    ):
        list(events)


def test_leaving_early_lets_the_work_clean_up():
    """A terminated run waits until the engine has released everything."""
    cleaned = []

    async def work(emit):
        try:
            await emit(1)
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("clean")

    def interrupted():
        with in_background(work) as events:
            next(events)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cleaned == ["clean"]
    assert "seedance-engine" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.further
def test_a_caller_that_stops_reading_does_not_hang():
    """Leaving with many unread events ends the engine too."""
    with in_background(numbers(1_000_000)) as events:
        assert next(events) == 0


def test_what_happens_during_the_cleanup_waits_for_no_caller():
    """Work that reports while it ends, such as a POST's late answer, is not held up by unread events."""
    ended = []
    videos = [Stored(make_order(number), None) for number in range(10)]

    async def work(emit):
        try:
            await asyncio.gather(*(emit(video) for video in videos))
        finally:
            for video in videos:
                await emit(video)
            ended.append("ended")

    started = time.monotonic()
    with in_background(work, unread=2) as events:
        next(events)
    assert ended == ["ended"]
    assert time.monotonic() - started < 5


def test_events_before_an_error_are_read_before_it():
    """Events from before an error are reported, then the error is raised."""
    seen = []
    work = numbers(200, then=ValueError("broken"))
    with in_background(work) as events, pytest.raises(ValueError, match="broken"):
        seen.extend(events)
    assert seen == list(range(200))


def test_work_that_cannot_start_is_an_error_to_the_caller():
    """An error before the first event reaches the caller as well."""

    def work(emit):
        raise LookupError("no ledger")

    with in_background(work) as events, pytest.raises(LookupError, match="no ledger"):
        next(events)


def test_stored_videos_wait_for_a_caller_that_is_far_behind():
    """Only a limited number of events with a picture is kept unread."""
    emitted = []
    videos = [Stored(make_order(number), None) for number in range(50)]

    async def work(emit):
        for video in videos:
            emitted.append(video)
            await emit(video)

    with in_background(work, unread=3) as events:
        for number, event in enumerate(events):
            assert event is videos[number]
            assert len(emitted) - number <= 3 + 2  # unread, the one read, and the one that waits
    assert emitted == videos


def test_no_post_waits_for_a_caller_that_is_far_behind():
    """Of submitted tasks a limited number is kept, the others are left to the ledger; what ended is kept."""
    tasks = [Submitted(make_order(number)) for number in range(50)]
    ends = [Ended(make_order(number)) for number in range(50)]
    sent = threading.Event()

    async def work(emit):
        for event in (*tasks, *ends):
            await emit(event)
        sent.set()

    with in_background(work, unread=3) as events:
        assert sent.wait(60)
        assert list(events) == [*tasks[:3], *ends]


def test_a_caller_that_caught_up_is_given_every_task_again():
    """Room that is free again is used."""
    tasks = [Submitted(make_order(number)) for number in range(9)]
    read = threading.Event()

    async def work(emit):
        for task in tasks[:5]:
            await emit(task)
        await asyncio.to_thread(read.wait)
        for task in tasks[5:]:
            await emit(task)

    with in_background(work, unread=4) as events:
        assert [next(events) for _ in range(4)] == tasks[:4]
        read.set()
        assert list(events) == tasks[5:]


def test_a_caller_that_waits_for_an_event_is_called():
    """The caller does what it postponed while nothing happens, and not while events wait for it."""
    idle, more = threading.Event(), threading.Event()

    async def work(emit):
        for number in range(3):
            await emit(Ended(make_order(number)))
        more.set()
        await asyncio.to_thread(idle.wait, 60)
        await emit(Ended(make_order(3)))

    with in_background(work, idle=idle.set) as events:
        assert more.wait(60)
        for _ in range(3):
            next(events)
            assert not idle.is_set()
        next(events)
        assert idle.is_set()


def test_a_waiting_caller_can_be_interrupted():
    """A signal reaches a run that waits for an event, and the engine still cleans up."""
    cleaned = []

    async def work(emit):
        try:
            asyncio.get_running_loop().call_soon(
                signal.pthread_kill, threading.main_thread().ident, signal.SIGINT
            )
            await asyncio.sleep(3600)
        finally:
            cleaned.append("clean")

    def interrupted():
        with in_background(work) as events:
            next(events)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
    assert cleaned == ["clean"]


def test_a_caller_gives_the_work_a_head_start_until_its_first_event():
    """The caller continues at the first event, at the end of the work, or after some time."""
    begun = threading.Event()

    async def slow(emit):
        begun.set()
        await asyncio.sleep(3600)
        await emit(1)

    with in_background(numbers(1), head_start_s=60) as events:
        assert list(events) == [0]
    with in_background(numbers(0), head_start_s=60) as events:
        assert list(events) == []
    with in_background(slow, head_start_s=0.05):
        assert begun.is_set()
