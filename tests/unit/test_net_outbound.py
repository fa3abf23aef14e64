"""Outbound connections: proxies and certificates of the environment, for the API and file hosts."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import httpx
import pytest
import stamina
from api_support import KEY, REQUEST, task_data
from credential_support import key_in_pem
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import SecretStr

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotSentError, TransportError
from seedance_dagster.engine.stages.download import DownloadError, DownloadLimits, download_video
from seedance_dagster.net.failures import failure_reason
from seedance_dagster.net.outbound import proxy_for, proxy_hosts

HOST = "api.example.test"
NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def test_a_proxy_of_another_kind_is_named(monkeypatch):
    """A proxy of another kind is named without its login, and nothing is sent around it."""
    monkeypatch.setenv("ALL_PROXY", "socks5h://me:secret-pw@proxy:1080")
    with pytest.raises(TransportError, match="ALL_PROXY names a socks5h proxy; allowed are http") as refused:
        async with SeedanceClient(api_key=SecretStr(KEY)):
            pass
    assert "secret-pw" not in str(refused.value)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("content", [None, "", "not a certificate"])
async def test_certificates_that_cannot_be_read_are_named(monkeypatch, tmp_path, name, content):
    """For unreadable certificates the message names variable and file, before anything is sent."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv(name, str(file))
    with pytest.raises(TransportError, match=f"{name}: {file} holds no certificates that can be read"):
        async with SeedanceClient(api_key=SecretStr(KEY)):
            pass


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://api.goapi.ai", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://api.goapi.ai/x", "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "https://api.goapi.ai", "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, "https://api.goapi.ai", None),
        ({"ALL_PROXY": "http://proxy:3128"}, "https://api.goapi.ai", "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".goapi.ai"}, "https://api.goapi.ai", None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, "https://api.goapi.ai", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://127.0.0.1:8000", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://localhost:8000", None),
    ],
)
def test_a_proxy_is_used_as_the_environment_says(monkeypatch, environ, url, proxy):
    """Names count in either case, and this machine is always contacted directly."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy
    assert proxy_hosts() == ({"proxy"} if "proxy:3128" in str(environ) else set())


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for the API's host, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "api.pem"
    path.write_text(signed.public_bytes(Encoding.PEM).decode())
    (tmp_path / "api.key").write_text(key_in_pem(key))
    return path


@asynccontextmanager
async def api_behind_proxy(certificate, *, refuse: bool = False) -> AsyncIterator[tuple[str, list[str]]]:
    """Run the API with TLS behind a proxy; yield the proxy's address and the requests that it got."""
    log: list[str] = []
    ends: set[asyncio.Task[None]] = set()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, certificate.with_name("api.key"))

    async def answer(reader, writer):
        ends.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            data = task_data() if head.startswith(b"POST") else {"equivalent_in_usd": 3}
            body = json.dumps({"code": 200, "data": data}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def tunnel(reader, writer):
        ends.add(asyncio.current_task())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        log.append(head)
        if refuse:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        port = api.sockets[0].getsockname()[1]
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def copy(source, target):
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            target.close()
            with contextlib.suppress(ConnectionError):
                await target.wait_closed()

        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    api = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with api, proxy:
        yield f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}", log
        await asyncio.gather(*ends)


def client() -> SeedanceClient:
    return SeedanceClient(
        api_key=SecretStr(KEY), base_url=f"https://{HOST}", requests_per_second=1e9, post_timeout_s=5
    )


@pytest.mark.integration
async def test_the_api_is_reached_through_a_proxy_that_sees_no_key(monkeypatch, certificate):
    """GET and POST go through the tunnel, with the proxy's own login and the company's certificate."""
    async with api_behind_proxy(certificate) as (address, log):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pw@{address}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        async with client() as opened:
            assert (await opened.account()).points_remaining == 30_000_000
            assert (await opened.create_task(REQUEST)).task_id == "t-1"
    login = base64.b64encode(b"me:pw").decode()
    assert len(log) == 2
    for head in log:
        assert head.startswith(f"CONNECT {HOST}:443 HTTP/1.1")
        assert f"Basic {login}" in head
        assert KEY not in head


@pytest.mark.integration
async def test_a_proxy_that_refuses_has_sent_nothing(monkeypatch, certificate):
    """The order may be sent again, and the message holds no password."""
    async with api_behind_proxy(certificate, refuse=True) as (address, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pw@{address}")
        async with client() as opened:
            with pytest.raises(NotSentError) as caught:
                await opened.create_task(REQUEST)
            with stamina.set_testing(True), pytest.raises(TransportError) as unread:
                await opened.account()
    for error in (caught, unread):
        assert str(error.value).endswith(": the proxy refuses the connection (HTTP 407)")
        assert "pw" not in str(error.value)


@pytest.mark.integration
async def test_a_certificate_that_is_not_trusted_is_named_with_the_remedy(monkeypatch, certificate):
    """Behind a company's proxy that opens encrypted connections, the message says which variable to set."""
    async with api_behind_proxy(certificate) as (address, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        async with client() as opened:
            with pytest.raises(NotSentError, match=r"not trusted.*REQUESTS_CA_BUNDLE"):
                await opened.create_task(REQUEST)
            with stamina.set_testing(True), pytest.raises(TransportError, match="REQUESTS_CA_BUNDLE"):
                await opened.account()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the host's name cannot be resolved"),
        (ConnectionRefusedError(111, "Connect call failed"), "it accepts no connection"),
        (OSError("Multiple exceptions: ..."), "it accepts no connection"),
        (OSError(101, "Connect call failed"), "network is unreachable"),
        (ConnectionResetError(), "the connection ended early"),
        (aiohttp.ServerDisconnectedError(), "the connection ended early"),
        (TimeoutError(), "no answer in time"),
        (httpx.ReadError("the reply is too large"), "the reply is too large"),
        (httpx.ReadError(""), "ReadError"),
    ],
)
def test_a_failure_is_told_in_words(error, words):
    """No name of a class stands in a message, unless nothing else is known."""
    assert failure_reason(error) == words


@pytest.mark.integration
async def test_videos_come_through_the_proxy_too(monkeypatch, certificate, tmp_path):
    """The proxy may be at a private address; a link to one is refused all the same."""
    limits = DownloadLimits()
    async with api_behind_proxy(certificate) as (address, log):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        with pytest.raises(DownloadError, match="does not give an mp4"):
            await download_video(f"https://{HOST}/v.mp4", tmp_path / "v.mp4", limits=limits)
        assert len(log) == 1
        with pytest.raises(DownloadError, match="private address"):
            await download_video("https://10.0.0.1/v.mp4", tmp_path / "v.mp4", limits=limits)
        assert len(log) == 1
