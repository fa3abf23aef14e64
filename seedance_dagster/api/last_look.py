"""The last look before a paid POST: a check that it may leave, which counts only for a moment."""

from __future__ import annotations

import time

from seedance_dagster.api.errors import HeldBackError


class LastLook:
    """One look, taken when nothing else is left to wait for.

    A process that stands still after its look (a signal, a frozen container, a closed lid, a stalled event
    loop) must not act on it when it wakes. So the age of the look is measured right before the request
    leaves, by clocks that go on meanwhile.

    Args:
        lasts_s: Seconds from the beginning of the look until the POST must have left.

    Attributes:
        left: True once the request may have left.
    """

    def __init__(self, *, lasts_s: float = 5.0) -> None:
        self._lasts_s = lasts_s
        self._began = _now()
        self.left = False

    async def reason_to_wait(self) -> str | None:
        """Return why the request may not leave now; None when it may."""
        return None

    async def look(self) -> None:
        """Take the look; raise `HeldBackError` when the request may not leave."""
        self._began = _now()
        reason = await self.reason_to_wait()
        if reason is not None:
            raise HeldBackError(reason)

    def leave(self) -> None:
        """Let the request leave at this moment; raise `HeldBackError` when the look is too old."""
        age_s = max(now - began for now, began in zip(_now(), self._began, strict=True))
        if age_s > self._lasts_s:
            raise HeldBackError(f"the process stood still for {age_s:.1f} s before the POST")
        self.left = True


def _now() -> tuple[float, float]:
    """Return the seconds of two clocks: one that goes on while the machine sleeps, and the wall clock."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return (time.monotonic() if boottime is None else time.clock_gettime(boottime), time.time())
