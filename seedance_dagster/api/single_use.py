"""The transport of paid POSTs: a connection for each, and a last look before the request leaves.

Its parser, h11, also accepts heads that aiohttp refuses; each connection carries one request, so that does no
harm.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator

import h11
import httpx

from seedance_dagster.api.last_look import LastLook
from seedance_dagster.api.transport import MAX_HEAD_BYTES
from seedance_dagster.net.outbound import proxy_for, tls_context

_CONNECT_S = 30.0
_NEXT_ADDRESS_S = 0.25  # as RFC 8305 says: the first address may lead nowhere, such as IPv6 in a container
_READ_BYTES = 64 * 1024


class SingleUseTransport(httpx.AsyncBaseTransport):
    """A transport that sends each request on a connection of its own, which ends with the reply.

    Anything else that a host or a proxy sends on it is thus never taken for the reply to another request.
    The last look is taken once the connection is open, so that nothing is left to wait for after it.
    """

    def __init__(self) -> None:
        self._tls: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose extension `last_look` lets it leave."""
        with _errors():
            async with asyncio.timeout(_CONNECT_S):
                exchange = _Exchange(*await self._connect(request.url))
            try:
                await exchange.send(request, request.extensions["last_look"])
                return await exchange.response()
            except BaseException:
                exchange.abort()
                raise

    async def _connect(self, url: httpx.URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if url.scheme == "http":  # on this machine only
            return await _open(url.host, url.port or 80)
        if self._tls is None:
            self._tls = tls_context()
        proxy = proxy_for(str(url))
        if proxy is None:
            return await _open(url.host, url.port or 443, tls=self._tls)
        target = url.netloc.decode() + ("" if url.port else ":443")
        reader, writer = await self._tunnel(httpx.URL(proxy), target)
        await writer.start_tls(self._tls, server_hostname=url.host)
        return reader, writer

    async def _tunnel(
        self, proxy: httpx.URL, target: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection through a proxy."""
        tls = self._tls if proxy.scheme == "https" else None
        port = proxy.port or (443 if tls else 80)
        reader, writer = await _open(proxy.host, port, tls=tls)
        headers = [("Host", target)]
        if proxy.username:
            login = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
            headers.append(("Proxy-Authorization", f"Basic {login}"))
        exchange = _Exchange(reader, writer)
        try:
            status = await exchange.connect(h11.Request(method="CONNECT", target=target, headers=headers))
        except BaseException:
            exchange.abort()
            raise
        if not httpx.codes.is_success(status):
            exchange.abort()
            raise httpx.ProxyError(f"the proxy refuses the connection (HTTP {status})")
        return reader, writer


class AfterLastLook(httpx.AsyncBaseTransport):
    """A wrapper of another transport, such as a test's: the request is passed on after the last look."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose extension `last_look` lets it leave."""
        last_look: LastLook = request.extensions["last_look"]
        await last_look.look()
        last_look.leave()
        return await self._inner.handle_async_request(request)


class _Exchange(httpx.AsyncByteStream):
    """One request and its reply on one connection; as a stream, the reply's body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def send(self, request: httpx.Request, last_look: LastLook) -> None:
        head = h11.Request(
            method=request.method,
            target=request.url.raw_path,
            headers=[*request.headers.raw, (b"Connection", b"close")],
        )
        events = (head, h11.Data(request.content), h11.EndOfMessage())
        data = b"".join(self._http.send(event) or b"" for event in events)
        await last_look.look()
        last_look.leave()
        self._writer.write(data)  # at once: nothing is awaited in between

    async def connect(self, request: h11.Request) -> int:
        """Ask a proxy for a tunnel; return the status of its answer, which has no body."""
        data = b"".join(self._http.send(event) or b"" for event in (request, h11.EndOfMessage()))
        self._writer.write(data)
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event.status_code

    async def response(self) -> httpx.Response:
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return httpx.Response(event.status_code, headers=event.headers.raw_items(), stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors():
            while not isinstance(event := await self._next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    yield bytes(event.data)

    async def aclose(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def _next_event(self) -> object:
        more = b"-"
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                more = await self._reader.read(_READ_BYTES)
                self._http.receive_data(more)
        except h11.RemoteProtocolError:
            if more:
                raise
            raise httpx.ReadError("the connection ended early") from None
        if isinstance(event, h11.ConnectionClosed):
            raise httpx.ReadError("the connection ended early")
        return event


async def _open(
    host: str, port: int, *, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(host, port, ssl=tls, happy_eyeballs_delay=_NEXT_ADDRESS_S)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn errors of the protocol and of host names into errors of httpx."""
    try:
        yield
    except h11.ProtocolError as error:
        raise httpx.RemoteProtocolError(f"the reply is not HTTP: {type(error).__name__}") from None
    except UnicodeError:
        raise httpx.ConnectError("the host's name cannot be resolved") from None
