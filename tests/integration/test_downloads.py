"""Downloads from a file host that may do anything."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys

import aiohttp
import pytest
from file_host import MP4

from seedance_dagster.engine.stages import download
from seedance_dagster.engine.stages.download import DownloadError, DownloadLimits, check_link
from seedance_dagster.net import links
from seedance_dagster.net.hosts import SilentHostError, open_session, request

pytestmark = pytest.mark.integration

SLOVENLY = (
    "/called-text",
    "/called-audio",
    "/called-xml",
    "/called-gif",
    "/called-nothing",
    "/called-gzip",
    "/packed",
    "/packed-twice",
    "/203",
    "/part",
    "/whole-part",
    "/unknown-whole",
    "/long-header",
)
# Brings a small file from the host to the store, then a large one; says the most memory used after each.
BRING = """
import asyncio, os, resource, sys
from pathlib import Path
import boto3
from seedance_dagster.engine.stages.download import DownloadLimits, download_video
from seedance_dagster.storage.s3 import VideoStore

url, path = sys.argv[1], Path(sys.argv[2])
client = boto3.client("s3")
store = VideoStore(client, os.environ["SEEDANCE_S3_BUCKET"])

def bring(size):
    limits = DownloadLimits(allow_private_hosts=True)
    got = asyncio.run(download_video(url + str(size), path, limits=limits))
    store.put_file("flat/video.mp4", path, content_type="video/mp4", sha256=got.sha256, metadata={})
    path.unlink()
    client.delete_object(Bucket=store.bucket, Key="flat/video.mp4")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)

bring(10_000_000)
bring(100_000_000)
"""


@pytest.mark.parametrize("link", ["/good", "/to-good", "/octets", *SLOVENLY])
async def test_a_download_is_hashed_on_its_way(host, tmp_path, link):
    """The bytes decide, whatever type the host names and however it packs them (l2)."""
    got = await host.get(link, tmp_path / "v.mp4")
    assert got.path.read_bytes() == MP4
    assert (got.size_bytes, got.sha256) == (len(MP4), hashlib.sha256(MP4).hexdigest())


@pytest.mark.parametrize("link", ["/good", "/to-good", "/endless", "/still", "/packed", "/called-text"])
async def test_a_link_is_checked_by_its_first_bytes(host, link):
    """A link is valid if its first bytes are an mp4, however many follow."""
    await check_link(host.url + link, limits=DownloadLimits(allow_private_hosts=True))


@pytest.mark.parametrize("link", ["/gone", "/to-gone", "/page", "/nothing", "/tiny", "/no-mp4"])
async def test_a_link_that_no_longer_gives_an_mp4_is_named(host, link):
    """An expired link is distinguished from a video without downloading it."""
    with pytest.raises(DownloadError) as caught:
        await check_link(host.url + link, limits=DownloadLimits(allow_private_hosts=True))
    assert caught.value.expired


@pytest.mark.parametrize(
    ("link", "words", "limits"),
    [
        ("/big", "larger than 10000 bytes", {"max_bytes": 10_000}),
        ("/endless", "larger than 5000000 bytes", {"max_bytes": 5_000_000}),
        ("/first-part", r"only a part of the file \(bytes 0-", {}),
        ("/last-part", r"only a part of the file \(bytes 7-", {}),
        ("/oddly-called-part", r"only a part of the file \(Bytes=0 - 1", {}),
        ("/half-packed", "the packed file ended early", {}),
        ("/bomb", "larger than 1000000 bytes", {"max_bytes": 1_000_000}),
        ("/broken", "HTTP 500", {}),
        ("/to-nowhere", "HTTP 302", {}),
        ("/to-garbage", "not a valid URL", {}),
        ("/to-file", "leads to file:, only http", {}),
        ("/to-ftp", "leads to ftp:, only http", {}),
        ("/to-user", "user name or a password", {}),
        ("/loop", "redirects more than 5 times", {}),
        ("/cut", "the connection ended early", {}),
        ("/still", "took too long or stalled", {"idle_timeout_s": 0.2}),
        ("/drip", "took too long or stalled", {"total_timeout_s": 0.3}),
    ],
)
async def test_broken_downloads_have_a_readable_error(host, tmp_path, link, words, limits):
    """The error names what is too big, too slow, cut off, an error or a redirect elsewhere."""
    with pytest.raises(DownloadError, match=words) as caught:
        await host.get(link, tmp_path / "v.mp4", **limits)
    assert not caught.value.expired
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("/gone", "HTTP 404"),
        ("/to-gone", "HTTP 404"),
        ("/forbidden", "HTTP 403"),
        ("/over", "HTTP 410"),
        ("/page", "not give an mp4, but text/html"),
        ("/picture", "not give an mp4, but image/heic"),
        ("/json", "not give an mp4, but application/json"),
        ("/badly-packed", "a packed file that is damaged"),
        ("/nothing", "an empty file"),
        ("/tiny", "an empty file"),
        ("/unsigned", "the link is gone .HTTP 401"),
        ("/expired", "the link is gone .HTTP 400"),
        ("/no-mp4", "not give an mp4, but another file, called video/mp4"),
        ("/brotli", "not give an mp4, but another file, called video/mp4, packed as br"),
    ],
)
async def test_anything_but_a_video_may_be_a_dead_link(host, tmp_path, link, words):
    """Dead links give errors, pages, empty files or something else: a fresh one may help."""
    with pytest.raises(DownloadError, match=words) as caught:
        await host.get(link, tmp_path / "v.mp4")
    assert caught.value.expired


@pytest.mark.parametrize(
    "name",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "2130706433",
        "0177.0.0.1",
        "127.1",
        "0x7f000001",
        "[::ffff:127.0.0.1]",
    ],
)
async def test_a_public_link_never_leads_to_this_machine(host, tmp_path, name):
    """No request reaches this machine when the API is public, however its address is written."""
    before = len(host.asked)
    with pytest.raises(DownloadError):
        await host.get(
            f"http://{name}:{host.server_port}/good", tmp_path / "v.mp4", allow_private_hosts=False
        )
    assert len(host.asked) == before


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("/to-metadata", "the private address 169.254.169.254"),
        ("/to-decimal", "neither a name nor a plain address"),
        ("/to-name", "inside.example leads to the private address 10.0.0.7"),
        ("/to-file", "only http"),
    ],
)
async def test_redirects_into_this_network_are_not_followed(host, tmp_path, monkeypatch, link, words):
    """A redirect from a public host to a private address, by number or by name, is not followed."""
    is_public = links.is_public

    async def resolve(self, host, port=0, family=0):
        return [{"host": "10.0.0.7"}]

    monkeypatch.setattr(links.Resolver.__base__, "resolve", resolve)
    # The file host of this test stands for a public one.
    monkeypatch.setattr(links, "is_public", lambda host: str(host) == "127.0.0.1" or is_public(host))
    with pytest.raises(DownloadError, match=words):
        await host.get(link, tmp_path / "v.mp4", allow_private_hosts=False)


async def test_a_host_that_does_not_answer_has_a_readable_error(tmp_path, host):
    """A failed connection and a disk that cannot be written have a readable error."""
    with pytest.raises(DownloadError, match="accepts no connection"):
        await host.get("http://127.0.0.1:9/v.mp4", tmp_path / "v.mp4")
    with pytest.raises(DownloadError, match=r"cannot be written or read in /.* \(TMPDIR\): No such file"):
        await host.get("/good", tmp_path / "no-folder" / "v.mp4")


async def test_a_host_without_http_has_a_readable_error(tmp_path, host):
    """Noise instead of HTTP, and a name that no resolver takes, have a readable error."""

    async def noise(reader, writer):
        writer.write(b"220 ready\r\n\r\n")
        writer.close()

    async def nothing(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DownloadError, match="ended the connection without an answer"):
            await host.get(f"http://127.0.0.1:{port}/v.mp4", tmp_path / "v.mp4")
    async with await asyncio.start_server(noise, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DownloadError, match="the download failed: "):
            await host.get(f"http://127.0.0.1:{port}/v.mp4", tmp_path / "v.mp4")
    with pytest.raises(DownloadError, match="not a URL that can be followed"):
        await host.get(f"http://{'a' * 70}.example/v.mp4", tmp_path / "v.mp4")


async def test_a_host_that_drips_is_left(host, tmp_path, monkeypatch):
    """A download that is too slow is given up; the reason names the rate and the setting (x11)."""
    monkeypatch.setattr(download, "_WINDOW_S", 0.2)
    with pytest.raises(DownloadError, match=r"kB a second.*\(SEEDANCE_MIN_DOWNLOAD_KB_PER_S\)"):
        await host.get("/drip", tmp_path / "v.mp4", min_bytes_per_s=1e9)


async def test_a_host_that_drips_its_head_is_left():
    """A host that sends its headers byte by byte does not hold a worker for the whole download time (x11)."""
    over, answers = asyncio.Event(), []

    async def drip(_reader, writer):
        answers.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while not over.is_set():
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    timeout = aiohttp.ClientTimeout(total=60, sock_connect=0.1, sock_read=0.1)
    session = open_session(timeout=timeout, read_bytes=1024, allow_private=True)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server, session:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SilentHostError, match="does not answer in time"):
            async with request(session, "GET", f"http://127.0.0.1:{port}/v.mp4", allow_private=True):
                pass
        over.set()
        await asyncio.gather(*answers)


async def test_the_file_host_gets_no_secret(host, tmp_path):
    """Requests to the file host have neither key nor cookie, and ask for plain bytes."""
    await host.get("/good", tmp_path / "v.mp4")
    assert set(host.asked[-1]) <= {"host", "accept", "accept-encoding", "user-agent"}
    assert host.asked[-1]["accept-encoding"] == "identity"


@pytest.mark.further
def test_memory_does_not_grow_with_the_file(host, s3_server, tmp_path):
    """A file of 100 MB takes no more memory than one of 10 MB, in the download and in the upload."""
    script = tmp_path / "bring.py"
    script.write_text(BRING)
    environ = os.environ | s3_server.environ | {"PYTHONWARNINGS": "error"}
    command = [sys.executable, script, f"{host.url}/sized/", tmp_path / "video.mp4"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    small, large = map(int, done.stdout.split())
    assert large - small < 10_000_000
