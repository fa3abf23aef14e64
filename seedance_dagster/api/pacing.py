"""Rate limits: one for a single process, and one that processes share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Protocol

from seedance_dagster.threads import in_thread

Reserve = Callable[[float], float]
"""Reserves the next seconds of a rate that processes share; returns the seconds until they begin."""

_LEAST_RESERVED_S = 0.1  # so that a process makes at most ten reservations a second


class Pace(Protocol):
    """A rate limit."""

    async def wait(self) -> None:
        """Wait until the next request may be sent."""


class Pacer:
    """A rate limit that hands out evenly spaced times to any thread and any event loop.

    Rate-limit libraries bind to one event loop (aiolimiter) or bring storage and threads of their own
    (pyrate-limiter); a process here runs several loops and needs one number, the next free time.

    Raises:
        ValueError: The rate is not positive.
    """

    def __init__(self, per_second: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._spacing = _spacing(per_second)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._next_free = 0.0

    def reserve(self) -> float:
        """Reserve the next free time and return the seconds until then."""
        with self._lock:
            now = self._monotonic()
            reserved = max(now, self._next_free)
            self._next_free = reserved + self._spacing
            return reserved - now

    async def wait(self) -> None:
        """Wait for the next free time."""
        delay = self.reserve()
        if delay > 0:
            await asyncio.sleep(delay)


class SharedPacer:
    """A rate limit that processes share, for the requests of one event loop.

    It reserves a stretch of time for all requests that wait at the moment, and spaces them evenly in it.

    Args:
        per_second: The rate of all processes together.
        reserve: Reserves a stretch; called in a thread.
        monotonic: The clock.

    Raises:
        ValueError: The rate is not positive.
    """

    def __init__(
        self, per_second: float, reserve: Reserve, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._spacing = _spacing(per_second)
        self._reserve = reserve
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._next_free = 0.0
        self._left = 0

    async def wait(self) -> None:
        """Wait until the next request may be sent."""
        self._waiting += 1
        try:
            async with self._turn:
                at = await self._take()
        finally:
            self._waiting -= 1
        delay = at - self._monotonic()
        if delay > 0:
            await asyncio.sleep(delay)

    async def _take(self) -> float:
        late = self._monotonic() - self._next_free
        if late > self._spacing:  # idle time allows no burst
            missed = int(late / self._spacing)
            self._left -= missed
            self._next_free += missed * self._spacing
        if self._left <= 0:
            self._left = max(self._waiting, int(_LEAST_RESERVED_S / self._spacing))
            delay = await in_thread(self._reserve, self._left * self._spacing)
            self._next_free = max(self._next_free, self._monotonic() + delay)
        self._left -= 1
        at = self._next_free
        self._next_free += self._spacing
        return at


def _spacing(per_second: float) -> float:
    if not 0 < per_second < float("inf"):
        msg = f"requests_per_second is {per_second}; it must be a positive number"
        raise ValueError(msg)
    return 1.0 / per_second


_pacers: dict[tuple[str, float], Pacer] = {}
_pacers_lock = threading.Lock()


def process_pacer(base_url: str, per_second: float) -> Pacer:
    """Return the process's pacer for a host and rate."""
    with _pacers_lock:
        return _pacers.setdefault((base_url, per_second), Pacer(per_second))
