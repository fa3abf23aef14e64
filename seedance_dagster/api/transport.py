"""Transport of HTTP requests to the vendor: the connection pool, the rate limit and the network's errors."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from seedance_dagster.api.body import read_body
from seedance_dagster.api.errors import GatewayError, RateLimitError, TransportError, VendorError
from seedance_dagster.api.replies import Reply, read_reply
from seedance_dagster.net.outbound import proxy_for, tls_context

NETWORK_ERRORS = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, TimeoutError)
"""The errors of a request that gets no reply; the aiohttp transport passes some of aiohttp's on unchanged."""

ATTEMPTS = 4
"""The number of times that a request which costs nothing is tried."""

_QUICK_BYTES = 64 * 1024  # read in some ms; 5 MB take 0.3 s, in a thread beside the event loop
_MAX_WAIT_S = 60.0  # a worker has other tasks to poll


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


async def exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request, *, timeout_s: float) -> Reply:
    """Send a request and read its reply.

    Raises:
        httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, TimeoutError: There is no reply.
    """
    async with asyncio.timeout(timeout_s):
        response = await transport.handle_async_request(request)
        async with contextlib.aclosing(response):
            body = await read_body(response)
    if len(body) > _QUICK_BYTES:
        return await asyncio.to_thread(read_reply, response.status_code, response.headers, body)
    return read_reply(response.status_code, response.headers, body)


def retry_delay(error: Exception) -> bool | float:
    """Return True to retry what costs nothing, or the seconds that the vendor asks to wait first."""
    if isinstance(error, RateLimitError | VendorError) and error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= _MAX_WAIT_S else False
    return isinstance(error, RateLimitError | GatewayError | TransportError | VendorError)


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
