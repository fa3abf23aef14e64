"""The one place that decides how HTTP requests leave the process, and what their failures mean."""

from __future__ import annotations

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport


def default_transport(*, timeout_s: float) -> httpx.AsyncBaseTransport:
    """The aiohttp transport: three times plain httpx's polls for the same CPU time, six with many at once.

    `benchmarks/transport.py` measures both. Redirects, retries, cookies and proxies from the
    environment stay off: the API key goes to the API's host and nowhere else.
    """

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    return AiohttpTransport(client=session)


def never_left(error: Exception) -> bool:
    """True only when a request certainly did not reach the other side.

    The aiohttp transport reports a connection lost after sending as a connect timeout too, so what
    counts is aiohttp's own error underneath.
    """
    if isinstance(error, httpx.UnsupportedProtocol):
        return True
    for seen in (error.__cause__, error):
        if isinstance(seen, aiohttp.ClientError):
            return isinstance(seen, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return isinstance(error, httpx.ConnectError | httpx.PoolTimeout)


def failure_name(error: Exception) -> str:
    """The kind of a failure, for people: aiohttp's own, since its transport calls nearly all a timeout."""
    cause = error.__cause__
    return type(cause if isinstance(cause, aiohttp.ClientError) else error).__name__
