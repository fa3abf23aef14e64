"""Transport of HTTP requests to the vendor: the connection pool, the rate limit and the network's errors."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from seedance_dagster.net.outbound import proxy_for, tls_context


def default_transport(base_url: str, *, timeout_s: float) -> httpx.AsyncBaseTransport:
    """Create the aiohttp transport.

    It does three times the polls of plain httpx in the same CPU time, six times with many at once
    (`benchmarks/transport.py`). Redirects, retries, cookies and .netrc stay off: the API key goes to the
    API's host and nowhere else. The environment's proxy is used, and sees no key of an https API.
    """

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100, ssl=tls_context()),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            proxy=proxy_for(base_url),
        )

    return AiohttpTransport(client=session)


def failure_name(error: Exception) -> str:
    """Return the name of aiohttp's underlying error, since its transport reports nearly all as timeouts."""
    cause = error.__cause__
    return type(cause if isinstance(cause, aiohttp.ClientError) else error).__name__


class Pacer:
    """A rate limit that hands out evenly spaced times to any thread and any event loop.

    Rate-limit libraries bind to one event loop (aiolimiter) or bring storage and threads of their own
    (pyrate-limiter); a process here runs several loops and needs one number, the next free time.

    Raises:
        ValueError: The rate is not positive.
    """

    def __init__(self, per_second: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        if not per_second > 0:
            msg = f"requests_per_second is {per_second}; it must be a positive number"
            raise ValueError(msg)
        self._spacing = 1.0 / per_second
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


_pacers: dict[tuple[str, float], Pacer] = {}
_pacers_lock = threading.Lock()


def shared_pacer(base_url: str, per_second: float) -> Pacer:
    """Return the process's pacer for a host and rate."""
    with _pacers_lock:
        return _pacers.setdefault((base_url, per_second), Pacer(per_second))
