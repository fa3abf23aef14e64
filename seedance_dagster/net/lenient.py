"""A second HTTP client, for answers whose head aiohttp refuses: two equal lengths, a length beside chunks.

aiohttp refuses an answer that a proxy between client and host could read in another way. Here that does no
harm: each connection carries one request and ends with its answer. httpcore, whose parser is h11, accepts
two equal lengths as one, and lets chunks override a length beside them, as RFC 9112 says.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpcore
from multidict import CIMultiDict
from yarl import URL

from seedance_dagster.net.links import Resolver
from seedance_dagster.net.outbound import proxy_for, proxy_hosts, tls_context

_AGENT = "seedance-dagster"  # some hosts refuse requests without one


class LenientBody:
    """The body of an answer, with the interface of aiohttp's."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    async def read(self, n: int) -> bytes:
        """Return at most `n` bytes; none at the end."""
        if not self._rest:
            try:
                self._rest = await anext(self._chunks, b"")
            except httpcore.TimeoutException:
                raise TimeoutError from None
            except (httpcore.ProtocolError, httpcore.NetworkError) as error:
                raise aiohttp.ClientPayloadError(str(error)) from None
        piece, self._rest = self._rest[:n], self._rest[n:]
        return piece

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Yield the body in pieces of at most `n` bytes."""
        while piece := await self.read(n):
            yield piece


class LenientResponse:
    """An answer, with the parts of aiohttp's interface that its readers need."""

    def __init__(self, response: httpcore.Response) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = CIMultiDict(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers
        )
        self.content = LenientBody(aiter(response.aiter_stream()))

    @property
    def content_length(self) -> int | None:
        """The stated length; None for a body in chunks."""
        length = self.headers.get("Content-Length")
        return None if length is None or "Transfer-Encoding" in self.headers else int(length)

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


@asynccontextmanager
async def lenient_request(
    method: str,
    target: URL,
    *,
    headers: Mapping[str, str],
    limits: aiohttp.ClientTimeout,
    allow_private: bool,
) -> AsyncIterator[LenientResponse]:
    """Send a request on a connection of its own, without following redirects.

    Args:
        method: The method.
        target: As `validate_url` returned it.
        headers: Further headers.
        limits: The first client's limits of time.
        allow_private: Whether names may lead to loopback and private addresses.

    Raises:
        LinkError: The name leads to a private address.
        aiohttp.ClientError, TimeoutError, OSError: The connection broke, or this client cannot read the
            answer either.
    """
    url = httpcore.URL(
        scheme=target.scheme,
        host=target.raw_host or "",
        port=None if target.is_default_port() else target.port,
        target=target.raw_path_qs,
    )
    waits = {"connect": limits.sock_connect, "read": limits.sock_read, "write": limits.sock_read}
    pool = httpcore.AsyncConnectionPool(
        ssl_context=tls_context(),
        proxy=_proxy(str(target)),
        max_keepalive_connections=0,
        network_backend=_CheckingBackend(allow_private=allow_private),
    )
    sent = {"User-Agent": _AGENT, "Accept": "*/*", "Connection": "close", **headers}
    try:
        async with (
            asyncio.timeout(limits.total),
            pool,
            pool.stream(method, url, headers=list(sent.items()), extensions={"timeout": waits}) as response,
        ):
            yield LenientResponse(response)
    except httpcore.TimeoutException:
        raise TimeoutError from None
    except (httpcore.ProtocolError, httpcore.NetworkError, httpcore.ProxyError) as error:
        raise aiohttp.ClientPayloadError(str(error)) from None


def _proxy(target: str) -> httpcore.Proxy | None:
    address = proxy_for(target)
    if address is None:
        return None
    proxy = URL(address)
    login = None if proxy.user is None else (proxy.user, proxy.password or "")
    context = tls_context() if proxy.scheme == "https" else None
    return httpcore.Proxy(str(proxy.origin()), auth=login, ssl_context=context)


class _CheckingBackend(httpcore.AnyIOBackend):
    """The network, with the addresses of names checked at the moment of connecting."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that accepts, none of which may be private."""
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in await self._addresses(host, port):
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("the name has no address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            return [str(ipaddress.ip_address(host))]  # it was checked with the link
        except ValueError:
            resolver = Resolver(allow_private=self._allow_private, trusted=proxy_hosts())
            try:
                results = await resolver.resolve(host, port, socket.AF_UNSPEC)
            finally:
                await resolver.close()
            return [result["host"] for result in results]
