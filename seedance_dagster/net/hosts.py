"""HTTP requests to file hosts, which are not trusted: no key, no cookies, public addresses only.

Behind a proxy, the proxy resolves names, so only addresses that are part of a link are checked. If aiohttp
refuses the head of an answer, the host is asked once more with a client that is less strict.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import Protocol

import aiohttp
from yarl import URL

from seedance_dagster.net.failures import failure_reason
from seedance_dagster.net.lenient import lenient_request
from seedance_dagster.net.links import LinkError, Resolver, validate_url
from seedance_dagster.net.outbound import proxy_for, proxy_hosts, tls_context

_MAX_REDIRECTS = 5
_MAX_HEADER_BYTES = 64 * 1024  # signed links and security policies grow
_LATE = "does not answer in time"
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Body(Protocol):
    """The body of an answer, which arrives as it is read."""

    async def read(self, n: int) -> bytes:
        """Return at most `n` bytes; none at the end."""

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Yield the body in pieces of at most `n` bytes."""


class HostResponse(Protocol):
    """The answer of a file host: aiohttp's, or that of the second client."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by name in any case."""

    @property
    def content_length(self) -> int | None:
        """The size of the body; None where it is not stated."""

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""

    @property
    def content(self) -> Body:
        """The body."""


class SilentHostError(LinkError):
    """A host that accepted no connection or did not answer in time.

    Attributes:
        origin: Scheme, name and port of that host, which may be the target of a redirect.
    """

    def __init__(self, origin: str, message: str) -> None:
        super().__init__(message)
        self.origin = origin


def open_session(
    *, timeout: aiohttp.ClientTimeout, read_bytes: int, allow_private: bool
) -> aiohttp.ClientSession:
    """Open a session for file hosts; bodies arrive as they are sent, never decompressed.

    Args:
        timeout: Limits of each request.
        read_bytes: Size of the read buffer.
        allow_private: Whether loopback and private addresses may be contacted.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=Resolver(allow_private=allow_private, trusted=proxy_hosts()), ssl=tls_context()
        ),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=read_bytes,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        auto_decompress=False,
        trust_env=False,
    )


@asynccontextmanager
async def request(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    allow_private: bool,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> AsyncIterator[HostResponse]:
    """Send a request and follow redirects, each of which is validated first.

    Raises:
        LinkError: The link or a redirect is not allowed, or leads to a silent host.
        aiohttp.ClientError, TimeoutError, OSError: The connection broke.
        ValueError: The host's name is malformed.
    """
    target = validate_url(url, allow_private=allow_private)
    for _ in range(_MAX_REDIRECTS + 1):
        async with _answer(session, method, target, headers, allow_private=allow_private) as response:
            location = response.headers.get("Location")
            if response.status in range(300, 400) and location:
                target = validate_url(location, base=target, allow_private=allow_private)
                continue
            yield response
            return
    raise LinkError(f"the link redirects more than {_MAX_REDIRECTS} times")


@asynccontextmanager
async def _answer(
    session: aiohttp.ClientSession,
    method: str,
    target: URL,
    headers: Mapping[str, str],
    *,
    allow_private: bool,
) -> AsyncIterator[HostResponse]:
    headers = {"Accept-Encoding": "identity", **headers}
    async with AsyncExitStack() as stack:
        response: HostResponse
        try:
            # The clients measure the time between two bytes, of which a head may have many.
            async with asyncio.timeout(_longest_head_s(session.timeout)):
                try:
                    response = await stack.enter_async_context(await _send(session, method, target, headers))
                except aiohttp.ClientResponseError as refusal:  # the parser refuses the head
                    second = lenient_request(
                        method, target, headers=headers, limits=session.timeout, allow_private=allow_private
                    )
                    try:
                        response = await stack.enter_async_context(second)
                    except aiohttp.ClientPayloadError:
                        raise refusal from None
        except TimeoutError:
            raise _silent(target, _LATE) from None
        yield response


def _longest_head_s(limits: aiohttp.ClientTimeout) -> float | None:
    """Return the seconds in which a host must have been reached and have sent the head of its answer."""
    return sum(filter(None, (limits.connect, limits.sock_connect, limits.sock_read))) or None


async def _send(
    session: aiohttp.ClientSession, method: str, target: URL, headers: Mapping[str, str]
) -> aiohttp.ClientResponse:
    try:
        proxy = proxy_for(str(target))
        return await session.request(method, target, allow_redirects=False, headers=headers, proxy=proxy)
    except (aiohttp.ClientHttpProxyError, aiohttp.ClientConnectorError) as error:
        reason = f"gives no answer: {failure_reason(error)}"
    except aiohttp.ServerTimeoutError:
        reason = _LATE
    raise _silent(target, reason)


def _silent(target: URL, reason: str) -> SilentHostError:
    return SilentHostError(str(target.origin()), f"the link's host {str(target.host)[:100]} {reason}")
