"""Transport of HTTP requests to the vendor: the connection pool and the network's errors."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from seedance_dagster.api.body import read_body
from seedance_dagster.api.errors import GatewayError, RateLimitError, TransportError, VendorError
from seedance_dagster.api.replies import Reply, read_reply
from seedance_dagster.net.failures import of_aiohttp
from seedance_dagster.net.outbound import proxy_for, tls_context

MAX_HEAD_BYTES = 100 * 1024
"""Cookies and policies of gateways grow; a head that a POST's reply may have, a poll's may have too."""

NETWORK_ERRORS = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, TimeoutError)
"""The errors of a request that gets no reply; the aiohttp transport passes some of aiohttp's on unchanged."""

ATTEMPTS = 4
"""The number of times that a request which costs nothing is tried."""

_QUICK_BYTES = 64 * 1024  # parsed in a few ms; 5 MB take 0.3 s, so they are parsed in a thread
_MAX_WAIT_S = 60.0  # a worker has other tasks to poll


def default_transport(base_url: str, *, timeout_s: float) -> httpx.AsyncBaseTransport:
    """Create the aiohttp transport.

    It makes three times as many polls as plain httpx in the same CPU time, six times with many at once
    (`benchmarks/transport.py`). Redirects, retries, cookies and .netrc stay off: the API key goes to the
    API's host and nowhere else. The environment's proxy is used, and sees no key of an https API.
    """
    proxy = proxy_for(base_url)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100, ssl=tls_context()),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            trust_env=False,
            proxy=proxy,
        )

    # Without `verify` it would load all certificates again, for a context that the session does not use.
    return AiohttpTransport(verify=tls_context(), client=session)


async def exchange(
    transport: httpx.AsyncBaseTransport,
    request: httpx.Request,
    *,
    timeout_s: float,
    lenient: httpx.AsyncBaseTransport | None = None,
) -> Reply:
    """Send a request and read its reply.

    Args:
        transport: The transport.
        request: The request.
        timeout_s: Longest time, in seconds.
        lenient: Sends it again where aiohttp refuses the head of the answer, such as one with two lengths.

    Raises:
        httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, TimeoutError: There is no reply.
    """
    try:
        return await _exchange(transport, request, timeout_s)
    except NETWORK_ERRORS as error:
        if lenient is None or not isinstance(of_aiohttp(error), aiohttp.ClientResponseError):
            raise
    return await _exchange(lenient, request, timeout_s)


async def _exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request, timeout_s: float) -> Reply:
    async with asyncio.timeout(timeout_s):
        response = await transport.handle_async_request(request)
        async with contextlib.aclosing(response):
            body = await read_body(response)
    if len(body) > _QUICK_BYTES:
        return await asyncio.to_thread(read_reply, response.status_code, response.headers, body)
    return read_reply(response.status_code, response.headers, body)


def retry_delay(error: Exception) -> bool | float:
    """Return True to retry a request that costs nothing, or the seconds to wait first if the vendor asks."""
    if isinstance(error, RateLimitError | VendorError) and error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= _MAX_WAIT_S else False
    return isinstance(error, RateLimitError | GatewayError | TransportError | VendorError)
