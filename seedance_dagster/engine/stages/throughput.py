"""The rate of a download, which is given up where it is too slow."""

from __future__ import annotations

import time
from collections.abc import Callable


class SlowHostError(Exception):
    """A host sends more slowly than the least rate; the message has both rates."""


class Throughput:
    """A check that a body arrives fast enough, over one window of time after the other.

    Args:
        floor: Bytes a second; 0 for any rate.
        window_s: Seconds over which the rate is measured.
        clock: In seconds, monotonic.
    """

    def __init__(self, floor: float, window_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._floor = floor
        self._window_s = window_s
        self._clock = clock
        self._since = clock()
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count bytes that arrived; raise `SlowHostError` when a window was too slow."""
        self._bytes += size
        elapsed = self._clock() - self._since
        if elapsed < self._window_s:
            return
        rate = self._bytes / elapsed
        if rate < self._floor:
            raise SlowHostError(
                f"the file host sends {rate / 1000:.1f} kB a second; the least accepted is "
                f"{self._floor / 1000:g} (SEEDANCE_MIN_DOWNLOAD_KB_PER_S)"
            )
        self._since += elapsed
        self._bytes = 0
