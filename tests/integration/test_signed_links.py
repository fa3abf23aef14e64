"""Links whose signature covers their spelling: they are requested byte for byte (l1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from file_host import MP4

from seedance_dagster.engine.stages.download import DownloadLimits, download_video

pytestmark = pytest.mark.integration

SIGNED = "/a%28b%29%27c%3A/v.mp4?X-Sig=a%2Fb%40c%3Ad+e~%7E&x=[1]|{}\"!'()*"


@asynccontextmanager
async def strict_host() -> AsyncIterator[tuple[str, list[str]]]:
    """A host that gives the video for only one spelling of its address, and records requests."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
        asked.append(target)
        if target == "/redirect":
            head, body = f"302 Found\r\nLocation: {SIGNED}", b""
        elif target == SIGNED:
            head, body = "200 OK\r\nContent-Type: video/mp4", MP4
        else:
            head, body = "403 Forbidden", b"the signature does not match"
        length = f"Content-Length: {len(body)}\r\nConnection: close"
        writer.write(f"HTTP/1.1 {head}\r\n{length}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


@pytest.mark.parametrize("path", [SIGNED, "/redirect"])
async def test_a_signed_link_keeps_its_spelling(tmp_path, path):
    """A link, direct or from a redirect, is requested without quoting, unquoting or sorting."""
    async with strict_host() as (origin, asked):
        limits = DownloadLimits(allow_private_hosts=True)
        done = await download_video(origin + path, tmp_path / "v.mp4", limits=limits)
    assert done.size_bytes == len(MP4)
    assert asked[-1] == SIGNED
