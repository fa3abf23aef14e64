"""The real transport: which failures prove that nothing was sent, and which may have been paid for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from api_support import KEY, REQUEST, task_data
from pydantic import SecretStr

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import HeldBackError, NotSentError, UnknownOutcomeError
from seedance_dagster.api.last_look import LastLook


@asynccontextmanager
async def serving(answer) -> AsyncIterator[SeedanceClient]:
    """Run a raw server on loopback and return a client with the real transport."""
    ends: set[asyncio.Task[None]] = set()

    async def handle(reader, writer):
        ends.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):  # nothing was sent
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST"):
                await reader.readuntil(b"}}")
            await answer(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = SeedanceClient(
        api_key=SecretStr(KEY),
        base_url=f"http://127.0.0.1:{port}",
        requests_per_second=1e9,
        post_timeout_s=0.5,
    )
    async with server, client:
        yield client
        await asyncio.gather(*ends)


@pytest.mark.integration
@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: {0}\r\nContent-Length: {0}\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: {0}\r\n",
        "Content-Length: {0}\r\nContent-Security-Policy: " + "x" * 20_000 + "\r\n",
        "Content-Length: {0}\r\n" + "".join(f"X-{number}: y\r\n" for number in range(300)),
    ],
    ids=["two lengths", "length beside chunks", "long header", "many headers"],
)
async def test_a_poll_reads_whatever_a_post_could_read(head):
    """A task whose POST was answered behind an odd proxy is followed behind it, too."""
    body = TASK.encode()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

    async def answer(writer):
        sent = chunked if "chunked" in head else body
        writer.write(f"HTTP/1.1 200 OK\r\n{head.format(len(body))}\r\n".encode() + sent)
        await writer.drain()

    async with serving(answer) as client:
        assert (await client.create_task(REQUEST)).task_id == "t-1"
        assert (await client.get_task("t-1")).task_id == "t-1"


@pytest.mark.integration
async def test_an_address_that_leads_nowhere_does_not_stop_a_post(monkeypatch):
    """The next address of a name is tried if the first is silent, as IPv6 is in some containers."""
    async with serving(answer_task) as client:
        port = int(client._base_url.rpartition(":")[2])
        with contextlib.ExitStack() as stack:
            silent = stack.enter_context(socket.socket())
            silent.bind(("127.0.0.2", port))
            silent.listen(0)
            for _ in range(3):  # a full queue: further connections get no answer
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.2", port))

            async def addresses(*_, **__):
                kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
                return [(*kind, (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", addresses)
            named = SeedanceClient(
                api_key=SecretStr(KEY), base_url=f"http://localhost:{port}", post_timeout_s=5
            )
            async with named:
                assert (await named.create_task(REQUEST)).task_id == "t-1"


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
@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n",
    ],
)
async def test_a_reply_that_drips_is_given_up(start):
    """However slowly a host sends, the client waits no longer than its time; a task may have been created."""

    async def answer(writer):
        writer.write(start)
        while not writer.is_closing():
            writer.write(b"1\r\n \r\n" if b"chunked" in start else b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(answer) as client:
        with pytest.raises(UnknownOutcomeError, match="no answer in time"):
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


@pytest.mark.integration
async def test_a_host_that_speaks_no_tls_was_sent_nothing():
    """A host without TLS gets no request."""

    async def answer(writer):
        raise AssertionError

    async with serving(answer) as plain:
        secure = SeedanceClient(
            api_key=SecretStr(KEY), base_url=plain._base_url.replace("http:", "https:"), post_timeout_s=1
        )
        async with secure:
            with pytest.raises(NotSentError):
                await secure.create_task(REQUEST)


TASK = json.dumps({"code": 200, "data": task_data()})


@pytest.mark.integration
async def test_a_reply_that_nobody_asked_for_is_never_taken_for_a_post_s():
    """A second reply after a good one is never taken as the answer to the next POST (case v14)."""
    answered = 0

    async def answer(writer):
        nonlocal answered
        answered += 1
        reply = raw(TASK.replace("t-1", f"t-{answered}"))
        writer.write(reply + reply.replace(f"t-{answered}".encode(), b"t-strange"))
        await writer.drain()

    async with serving(answer) as client:
        tasks = [(await client.create_task(REQUEST)).task_id for _ in range(3)]
    assert tasks == ["t-1", "t-2", "t-3"]


class Look(LastLook):
    """A last look at a claim that runs a step of the test, and then finds a reason to wait or none."""

    def __init__(self, then=lambda: None, reason: str | None = None) -> None:
        super().__init__(lasts_s=0.2)
        self.then, self.reason = then, reason

    async def reason_to_wait(self):
        self.then()
        return self.reason


async def answer_task(writer):
    writer.write(raw(TASK))
    await writer.drain()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("look", "words"),
    [
        (Look(reason="off-peak only"), "off-peak only"),
        # Whatever stops a process: here its event loop, as SIGSTOP or a frozen container would.
        (Look(lambda: time.sleep(0.3)), "stood still for 0.3 s"),
        (Look(lambda: asyncio.get_running_loop().call_soon(time.sleep, 0.3)), None),
    ],
)
async def test_what_the_last_look_holds_back_is_not_sent(look, words):
    """With a reason to wait, or after a process stood still since the look, nothing is sent."""
    asked = 0

    async def answer(writer):
        nonlocal asked
        asked += 1
        await answer_task(writer)

    async with serving(answer) as client:
        if words is None:  # what stalls the loop later comes behind the request
            await client.create_task(REQUEST, last_look=look)
        else:
            with pytest.raises(HeldBackError, match=words):
                await client.create_task(REQUEST, last_look=look)
    assert (asked, look.left) == ((1, True) if words is None else (0, False))


@pytest.mark.integration
async def test_the_last_look_comes_behind_every_wait():
    """The last look comes after the wait for the rate limit and after connecting."""
    steps = []

    async def answer(writer):
        steps.append("answered")
        await answer_task(writer)

    async with serving(answer) as client:
        pacer = client._pacer

        class Pacer:
            async def wait(self):
                steps.append("waited")
                await pacer.wait()

        client._pacer = Pacer()
        await client.create_task(REQUEST, last_look=Look(lambda: steps.append("looked")))
    assert steps == ["waited", "looked", "answered"]
