"""Hosts whose headers aiohttp refuses: whole bodies are accepted under the same rules."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager

import aiohttp
import pytest
from file_host import CHUNKED, MP4

from seedance_dagster.engine.stages.download import DownloadError, DownloadLimits, check_link, download_video
from seedance_dagster.net import links
from seedance_dagster.net.hosts import open_session, request

pytestmark = pytest.mark.integration

WHOLE = ("/two-lengths", "/two-types", "/chunks-and-length", "/chunks-and-whole-length", "/to-two-lengths")


@pytest.mark.parametrize("link", WHOLE)
async def test_whole_bytes_are_taken_whatever_the_head_repeats(host, tmp_path, link):
    """A paid video is stored despite two equal lengths, or a length beside chunks."""
    got = await host.get(link, tmp_path / "v.mp4")
    assert got.path.read_bytes() == MP4
    assert (got.size_bytes, got.sha256) == (len(MP4), hashlib.sha256(MP4).hexdigest())
    await check_link(host.url + link, limits=DownloadLimits(allow_private_hosts=True))


@pytest.mark.parametrize(
    ("link", "words", "limits"),
    [
        ("/other-lengths", "the file host's answer is not valid HTTP", {}),
        ("/chunks-cut", "the connection ended early", {}),
        ("/two-lengths-cut", "the connection ended early", {}),
        ("/two-lengths-big", "larger than 10000 bytes", {"max_bytes": 10_000}),
        ("/two-lengths-gone", "the link is gone", {}),
        ("/two-lengths-to-metadata", "the private address 169.254.169.254", {}),
    ],
)
async def test_the_same_rules_hold_for_such_answers(host, tmp_path, monkeypatch, link, words, limits):
    """Other lengths, missing bytes, too many, a dead link and a redirect into this network are named."""
    is_public = links.is_public
    monkeypatch.setattr(links, "is_public", lambda host: str(host) == "127.0.0.1" or is_public(host))
    with pytest.raises(DownloadError, match=words):
        await host.get(link, tmp_path / "v.mp4", allow_private_hosts=False, **limits)


async def test_a_name_that_leads_elsewhere_the_second_time_is_not_followed(host, tmp_path, monkeypatch):
    """The second client checks the addresses of a name itself, since they may have changed."""
    addresses = iter(["127.0.0.1", "10.0.0.7"])

    async def resolve(self, name, port=0, family=0):
        return [
            {"host": next(addresses), "port": port, "family": 2, "proto": 6, "flags": 0, "hostname": name}
        ]

    monkeypatch.setattr(links.Resolver.__base__, "resolve", resolve)
    monkeypatch.setattr(links, "is_public", lambda host: str(host) == "127.0.0.1")
    link = f"http://files.example:{host.server_port}/two-lengths"
    with pytest.raises(DownloadError, match=r"files\.example leads to the private address 10\.0\.0\.7"):
        await host.get(link, tmp_path / "v.mp4", allow_private_hosts=False)


@asynccontextmanager
async def answering(head: str, body: bytes, *, then_silent: bool = False):
    """A host or proxy that gives one answer to everything, and records requests."""
    asked: list[str] = []
    over = asyncio.Event()

    async def answer(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(head.encode() + b"\r\n\r\n" + body)
        await writer.drain()
        if then_silent:
            await over.wait()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
        over.set()


TWICE = f"HTTP/1.1 200 OK\r\nContent-Length: {len(MP4)}\r\nContent-Length: {len(MP4)}"


async def test_the_link_is_asked_for_byte_for_byte_again(tmp_path):
    """The second request has the same spelling and no secret, and ends its connection."""
    path = "/a%28b%29%27c%3A/v.mp4?X-Sig=a%2Fb%40c%3Ad+e~%7E&x=[1]|{}\"!'()*"
    async with answering(TWICE, MP4) as (address, asked):
        limits = DownloadLimits(allow_private_hosts=True)
        await download_video(f"http://{address}{path}", tmp_path / "v.mp4", limits=limits)
    assert [head.split(" ")[1] for head in asked] == [path, path]
    names = {line.partition(":")[0].lower() for line in asked[1].splitlines()[1:] if line}
    assert names == {"host", "user-agent", "accept", "accept-encoding", "connection"}


async def test_the_second_client_uses_the_proxy(tmp_path, monkeypatch):
    """The proxy, which may be at a private address, gets the whole link and its login."""
    async with answering(TWICE, MP4) as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pw@{address}")
        await download_video("http://files.example/v.mp4?s=%2F", tmp_path / "v.mp4", limits=DownloadLimits())
    assert len(asked) == 2
    for head in asked:
        assert head.startswith("GET http://files.example/v.mp4?s=%2F HTTP/1.1")
        assert "Basic bWU6cHc=" in head


async def test_a_host_that_stops_sending_is_left(tmp_path):
    """The second client has the same time limits as the first."""
    async with answering(TWICE, MP4[:100], then_silent=True) as (address, _):
        limits = DownloadLimits(allow_private_hosts=True, idle_timeout_s=0.2)
        with pytest.raises(DownloadError, match="took too long or stalled"):
            await download_video(f"http://{address}/v.mp4", tmp_path / "v.mp4", limits=limits)


async def test_references_are_read_from_such_hosts_too():
    """The preflight reads parts of any size from such hosts, and the length that counts."""
    timeout = aiohttp.ClientTimeout(total=5, sock_connect=5, sock_read=5)
    head = (
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\nContent-Type: Image/PNG; q=1"
    )
    async with (
        answering(head, CHUNKED) as (address, _),
        open_session(timeout=timeout, read_bytes=65536, allow_private=True) as session,
        request(session, "GET", f"http://{address}/cat.png", allow_private=True) as response,
    ):
        assert (response.status, response.content_length) == (200, None)
        assert response.content_type == "image/png"
        assert await response.content.read(7) == MP4[:7]
        assert await response.content.read(len(MP4)) == MP4[7:]
        assert await response.content.read(1) == b""
