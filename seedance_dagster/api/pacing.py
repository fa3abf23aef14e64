"""The request rate limit, one for all clients of a process.

Written here because the rate-limit libraries at hand bind to one event loop (aiolimiter) or bring
storage, buckets and threads of their own (pyrate-limiter); a process here has several loops (runs in
threads) and needs one number: the time of the next free slot.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable


class Pacer:
    """Hands out evenly spaced slots to any thread and any event loop.

    Args:
        per_second: Requests a second.
        monotonic: A monotonic clock in seconds.

    Raises:
        ValueError: The rate is not positive.
    """

    def __init__(self, per_second: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        if not per_second > 0:
            msg = f"requests_per_second must be a positive number, not {per_second}"
            raise ValueError(msg)
        self._spacing = 1.0 / per_second
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._next_free = 0.0

    def reserve(self) -> float:
        """Take the next slot; how many seconds it is away."""
        with self._lock:
            now = self._monotonic()
            slot = max(now, self._next_free)
            self._next_free = slot + self._spacing
            return slot - now

    async def wait(self) -> None:
        """Wait for the next slot."""
        delay = self.reserve()
        if delay > 0:
            await asyncio.sleep(delay)


_pacers: dict[tuple[str, float], Pacer] = {}
_pacers_lock = threading.Lock()


def shared_pacer(base_url: str, per_second: float) -> Pacer:
    """The process's pacer for a host and rate."""
    with _pacers_lock:
        return _pacers.setdefault((base_url, per_second), Pacer(per_second))
