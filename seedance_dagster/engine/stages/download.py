"""Downloading a finished video from the vendor's file host, which is not trusted.

The host gets no API key, may redirect only to http(s) and public addresses, and its bytes must be an mp4 of
a bounded size that arrives in bounded time.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import aiohttp

from seedance_dagster.engine.stages.throughput import SlowHostError, Throughput
from seedance_dagster.media.boxes import FIRST_BOXES
from seedance_dagster.net.failures import failure_reason
from seedance_dagster.net.hosts import HostResponse, open_session, request
from seedance_dagster.net.links import LinkError
from seedance_dagster.net.secrets import SafeError
from seedance_dagster.net.unpacking import DamagedBodyError, Unpacker
from seedance_dagster.threads import in_thread

_CHUNK_BYTES = 512 * 1024  # each transfer holds about four of them
_KIND = slice(4, 8)  # of the first box
# Each means a whole file: a proxy may have changed it, and some hosts call everything a part.
_SUCCESS = (HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION, HTTPStatus.PARTIAL_CONTENT)
# Stores answer a link whose signature has run out with any of the first three.
_GONE = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.GONE,
)
_RANGE = re.compile(r"\s*bytes[ =]\s*(\d{1,18})\s*-\s*(\d{1,18})\s*/\s*(\d{1,18}|\*)\s*", re.IGNORECASE)
_WINDOW_S = 60.0


class DownloadError(SafeError):
    """The video could not be downloaded; the message says why.

    Attributes:
        expired: True when the link seems to be gone and a fresh one may help.
        on_this_machine: True when no link would help, such as where a disk is full.
    """

    def __init__(self, message: str, *, expired: bool = False, on_this_machine: bool = False) -> None:
        super().__init__(message)
        self.expired = expired
        self.on_this_machine = on_this_machine


@dataclass(frozen=True, kw_only=True)
class DownloadLimits:
    """Bounds of one download.

    Attributes:
        max_bytes: Largest file.
        total_timeout_s: Seconds for all of it.
        idle_timeout_s: Seconds without a byte.
        min_bytes_per_s: The least rate over a minute.
        allow_private_hosts: Loopback and private addresses are allowed.
    """

    max_bytes: int = 2 * 1024**3
    total_timeout_s: float = 1800.0
    idle_timeout_s: float = 60.0
    min_bytes_per_s: float = 10_000.0
    allow_private_hosts: bool = False


@dataclass(frozen=True)
class Downloaded:
    """A complete file; `sha256` in hex."""

    path: Path
    size_bytes: int
    sha256: str


async def download_video(url: str, path: Path, *, limits: DownloadLimits) -> Downloaded:
    """Download a video into a file, hashing on the way.

    Args:
        url: The vendor's link; no message quotes it whole, since it may be signed.
        path: Overwritten.
        limits: Bounds.

    Raises:
        DownloadError: The link is gone or not followed, gives anything but a whole mp4, or the file cannot
            be written.
    """
    async with _response(url, limits) as response:
        return await _save(response, path, limits)


async def check_link(url: str, *, limits: DownloadLimits) -> None:
    """Check by its first bytes that a link still gives an mp4.

    Raises:
        DownloadError: It is gone or not followed, or gives something else.
    """
    async with _response(url, limits) as response:
        unpacker, head = Unpacker(), b""
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            head += b"".join(unpacker.feed(chunk))
            if len(head) >= _KIND.stop:
                break
        _check_start(head, response)
        _check_not_empty(len(head))


@asynccontextmanager
async def _response(url: str, limits: DownloadLimits) -> AsyncIterator[HostResponse]:
    """Open a link and check its headers; raise every failure as `DownloadError`."""
    timeout = aiohttp.ClientTimeout(
        total=limits.total_timeout_s, sock_connect=30, sock_read=limits.idle_timeout_s
    )
    session = open_session(timeout=timeout, read_bytes=_CHUNK_BYTES, allow_private=limits.allow_private_hosts)
    try:
        async with (
            session,
            request(session, "GET", url, allow_private=limits.allow_private_hosts) as response,
        ):
            _check_head(response, limits)
            yield response
    except (LinkError, SlowHostError) as error:
        raise DownloadError(str(error)) from None
    except DamagedBodyError:
        raise DownloadError("the link gives a packed file that is damaged", expired=True) from None
    except TimeoutError:
        raise DownloadError("the download took too long or stalled") from None
    except aiohttp.ClientError as error:
        raise DownloadError(f"the download failed: {_describe(error)}") from None
    except OSError as error:
        folder = tempfile.tempdir or "a temporary folder"
        message = f"the download cannot be written or read in {folder} (TMPDIR): {error.strerror or error}"
        raise DownloadError(message, on_this_machine=True) from None
    except ValueError:
        # A host that no resolver takes, such as one with an overlong label.
        raise DownloadError("the link is not a URL that can be followed") from None


async def _save(response: HostResponse, path: Path, limits: DownloadLimits) -> Downloaded:
    digest, size, head = hashlib.sha256(), 0, b""
    unpacker, throughput = Unpacker(), Throughput(limits.min_bytes_per_s, _WINDOW_S)
    with path.open("wb") as file:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            throughput.add(len(chunk))
            for piece in unpacker.feed(chunk):
                if len(head) < _KIND.stop:
                    head += piece[: _KIND.stop]
                    _check_start(head, response)
                size += len(piece)
                if size > limits.max_bytes:
                    raise DownloadError(f"the file is larger than {limits.max_bytes} bytes")
                await in_thread(_write, piece, file, digest)
    if not unpacker.is_whole:
        raise DownloadError("the packed file ended early")
    _check_not_empty(size)
    return Downloaded(path, size, digest.hexdigest())


def _check_head(response: HostResponse, limits: DownloadLimits) -> None:
    if response.status in _GONE:
        raise DownloadError(f"the link is gone (HTTP {response.status})", expired=True)
    if response.status not in _SUCCESS:
        raise DownloadError(f"the file host answered HTTP {response.status}")
    part = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if part is not None and (part[1] != "0" or part[3] not in ("*", str(int(part[2]) + 1))):
        raise DownloadError(f"the file host gave only a part of the file ({part[0][:100]})")
    if (response.content_length or 0) > limits.max_bytes:
        raise DownloadError(f"the file is larger than {limits.max_bytes} bytes")


def _check_start(head: bytes, response: HostResponse) -> None:
    """Check the first bytes; the content type only serves the message."""
    kind = head[_KIND]
    if not any(begin.startswith(kind) for begin in FIRST_BOXES):
        raise DownloadError(f"the link does not give an mp4, but {_called(response)}", expired=True)


def _called(response: HostResponse) -> str:
    """Return what a host calls a file that is not an mp4."""
    kind = response.content_type[:100] if "Content-Type" in response.headers else ""
    name = f"another file, called {kind}" if kind.startswith(("video/", "application/octet")) else kind
    packing = response.headers.get("Content-Encoding", "")[:20]
    return (name or "another file") + (f", packed as {packing}" if packing else "")


def _check_not_empty(size: int) -> None:
    if size < _KIND.stop:
        raise DownloadError(f"the link gives an empty file ({size} bytes)", expired=True)


def _write(chunk: bytes, file: BinaryIO, digest: hashlib._Hash) -> None:
    digest.update(chunk)
    file.write(chunk)


def _describe(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended early"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the file host's answer is not valid HTTP"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the file host ended the connection without an answer"
    return failure_reason(error)
