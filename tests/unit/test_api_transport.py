"""Failures of the real transport: a few prove that nothing was sent, all others may have been paid for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import httpx
import pytest
from api_support import KEY, REQUEST, task_data
from pydantic import SecretStr

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotSentError, UnknownOutcomeError
from seedance_dagster.api.transport import never_sent

CONNECTION = aiohttp.client_reqrep.ConnectionKey("h", 443, True, True, None, None, None)


def caused(error: Exception, idempotency_key: Exception) -> Exception:
    error.__cause__ = idempotency_key
    return error


@pytest.mark.parametrize(
    ("error", "never"),
    [
        (httpx.ConnectError("refused"), True),
        (httpx.PoolTimeout("busy"), True),
        (httpx.UnsupportedProtocol("ftp"), True),
        (aiohttp.ClientConnectorError(CONNECTION, OSError("refused")), True),
        (aiohttp.ConnectionTimeoutError(), True),
        (caused(httpx.ConnectError("x"), aiohttp.ClientConnectorError(CONNECTION, OSError())), True),
        (caused(httpx.ConnectTimeout("x"), aiohttp.ConnectionTimeoutError()), True),
        (caused(httpx.UnsupportedProtocol("x"), aiohttp.InvalidURL("x")), True),
        (httpx.ConnectTimeout("ambiguous"), False),
        (caused(httpx.ConnectTimeout("x"), aiohttp.ServerDisconnectedError()), False),
        (caused(httpx.ConnectTimeout("x"), aiohttp.ClientOSError(104, "reset")), False),
        (caused(httpx.ReadTimeout("x"), aiohttp.SocketTimeoutError()), False),
        (aiohttp.ClientPayloadError("cut"), False),
        (httpx.ReadError("reset"), False),
        (httpx.WriteError("pipe"), False),
        (TimeoutError(), False),
        (OSError("reset"), False),
    ],
)
def test_failures_that_prove_that_nothing_was_sent(error, never):
    """Only a connection that was never made proves that nothing was sent."""
    assert never_sent(error) is never


@asynccontextmanager
async def serving(answer) -> AsyncIterator[SeedanceClient]:
    """Run a raw server on loopback and return a client with the real transport."""

    async def handle(reader, writer):
        await reader.readuntil(b"}}")
        await answer(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = SeedanceClient(
        api_key=SecretStr(KEY), base_url=f"http://127.0.0.1:{port}", requests_per_second=1e9, timeout_s=0.5
    )
    async with server, client:
        yield client


def raw(body: str, length: int | None = None) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length or len(body)}\r\n\r\n{body}".encode()


@pytest.mark.integration
async def test_a_reply_comes_through_the_real_transport():
    """The transport of production carries a request and its reply."""
    body = str(task_data()).replace("'", '"').replace("None", "null").replace("False", "false")

    async def answer(writer):
        writer.write(raw(f'{{"code":200,"data":{body}}}'))
        await writer.drain()

    async with serving(answer) as client:
        assert (await client.create_task(REQUEST)).task_id == "t-1"


@pytest.mark.integration
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", raw("{", 500), b"garbage\r\n\r\n"])
async def test_after_a_lost_connection_the_outcome_is_unknown(sent):
    """However much of a reply arrived, the task may have been created."""

    async def answer(writer):
        writer.write(sent)
        await writer.drain()

    async with serving(answer) as client:
        with pytest.raises(UnknownOutcomeError):
            await client.create_task(REQUEST)


@pytest.mark.integration
async def test_a_refused_connection_sent_nothing():
    """A request that nobody listened to was not sent and may be sent again."""

    async def answer(writer):
        raise AssertionError

    async with serving(answer) as client:
        pass
    async with client:
        with pytest.raises(NotSentError, match=r"no connection to http://127.0.0.1"):
            await client.create_task(REQUEST)
