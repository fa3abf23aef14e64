"""Requests to the hosts of references: a file's head and parts of it, within limits."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from seedance_dagster.media.references.duration import PartialFile
from seedance_dagster.media.references.file_types import MAGIC_BYTES, type_of
from seedance_dagster.net.hosts import HostResponse, request
from seedance_dagster.net.links import LinkError
from seedance_dagster.net.secrets import SafeError

_CHUNK_BYTES = 64 * 1024
_LONGEST_VALIDATOR = 300
_MISSES = {
    HTTPStatus.NOT_FOUND: "does not exist",
    HTTPStatus.GONE: "does not exist",
    HTTPStatus.UNAUTHORIZED: "is not public",
    HTTPStatus.FORBIDDEN: "is not public",
}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-\d+/(\d{1,15}|\*)", re.ASCII)


class UnusableReferenceError(SafeError):
    """A reference that cannot be used; the message continues its name, as in "is a web page"."""


@dataclass(frozen=True, kw_only=True)
class ProbeLimits:
    """Limits of probing one reference.

    Attributes:
        max_bytes: Most bytes to read; a file up to this size is read whole and hashed.
        part_bytes: Bytes of a larger file that are read at once.
        idle_s: Longest wait for a byte, in seconds.
        total_s: Longest time for one reference, in seconds.
        at_once: Number of references that are probed at once.
    """

    max_bytes: int = 8 * 1024 * 1024
    part_bytes: int = 256 * 1024
    idle_s: float = 10.0
    total_s: float = 30.0
    at_once: int = 8


@dataclass(frozen=True)
class Head:
    """The answer to a HEAD request.

    Attributes:
        status: The HTTP status; some hosts refuse HEAD and nothing else.
        size: In bytes; None when the host does not say.
        validator: ETag, or Last-Modified and size: changes with the file; None when the host sends neither.
    """

    status: int
    size: int | None = None
    validator: str | None = None


@dataclass(frozen=True)
class PartialDownload:
    """A file whose beginning was read.

    Attributes:
        file: Its loaded parts.
        validator: As in `Head`.
        ranged: Whether the host sends parts.
    """

    file: PartialFile
    validator: str | None
    ranged: bool


class ReferenceHost:
    """Access to the hosts of references, through one session that holds no key."""

    def __init__(self, session: aiohttp.ClientSession, limits: ProbeLimits, *, allow_private: bool) -> None:
        self._session = session
        self._limits = limits
        self._allow_private = allow_private

    async def head(self, url: str) -> Head | None:
        """Send a HEAD request; return None when it fails, since the GET that follows decides."""
        try:
            async with request(self._session, "HEAD", url, allow_private=self._allow_private) as response:
                if response.status != HTTPStatus.OK:
                    return Head(response.status)
                size = response.content_length
                return Head(response.status, size, _validator(response.headers, size))
        except (LinkError, aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def begin(self, url: str, size: int | None) -> PartialDownload:
        """Read the beginning of a file, and all of it when it is small.

        Args:
            url: The whole URL.
            size: In bytes; None when the host has not said.

        Raises:
            UnusableReferenceError: The file does not exist, is not public, is empty, or is too large and of
                unknown size.
            LinkError, aiohttp.ClientError, TimeoutError, OSError, ValueError: As `request`.
        """
        limit = self._limits.max_bytes
        small = size is None or size <= limit
        async with self._get(url, 0, limit if small else self._limits.part_bytes) as response:
            _check_status(response)
            ranged = response.status == HTTPStatus.PARTIAL_CONTENT
            size = _stated_size(response)
            if size == 0:
                raise UnusableReferenceError("is empty (0 bytes)")
            start = await self._start(response, size, ranged=ranged)
            if size is None and await response.content.read(1):
                raise UnusableReferenceError(
                    f"is larger than {megabytes(limit)}, and its host does not state its size"
                )
            size = len(start) if size is None else size
            return PartialDownload(PartialFile(start, size), _validator(response.headers, size), ranged)

    async def part(self, url: str, offset: int) -> bytes:
        """Read a further part of a file; raise as `begin`."""
        async with self._get(url, offset, self._limits.part_bytes) as response:
            part = await _read(response, self._limits.part_bytes) if _range(response) == offset else b""
            if not part:
                raise UnusableReferenceError("cannot be read: its host stopped sending parts of it")
            return part

    def _get(self, url: str, offset: int, count: int) -> contextlib.AbstractAsyncContextManager[HostResponse]:
        headers = {"Range": f"bytes={offset}-{offset + count - 1}"}
        return request(self._session, "GET", url, allow_private=self._allow_private, headers=headers)

    async def _start(self, response: HostResponse, size: int | None, *, ranged: bool) -> bytes:
        magic = await _read(response, MAGIC_BYTES)
        limit = self._limits.max_bytes
        if size is not None and size > limit and (ranged or not type_of(magic).container):
            limit = self._limits.part_bytes
        return magic + await _read(response, limit - len(magic))


def megabytes(count: int) -> str:
    """Format a number of bytes."""
    return f"{count / 1024**2:.1f} MB"


async def _read(response: HostResponse, count: int) -> bytes:
    """Read `count` bytes of a body, fewer where it ends."""
    body = bytearray()
    while len(body) < count:
        chunk = await response.content.read(min(_CHUNK_BYTES, count - len(body)))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _check_status(response: HostResponse) -> None:
    status = response.status
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise UnusableReferenceError("is empty (0 bytes)")
    if status == HTTPStatus.OK or _range(response) == 0:
        return
    reason = next((words for missing, words in _MISSES.items() if missing == status), "cannot be read")
    raise UnusableReferenceError(f"{reason}: its host answers HTTP {status}")


def _range(response: HostResponse) -> int | None:
    """Return the position at which the received part begins; None for a response that is not a part."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match[1]) if match and response.status == HTTPStatus.PARTIAL_CONTENT else None


def _stated_size(response: HostResponse) -> int | None:
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return response.content_length
    total = response.headers["Content-Range"].rpartition("/")[2]
    return None if total == "*" else int(total)


def _validator(headers: Mapping[str, str], size: int | None) -> str | None:
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    validator = etag or (f"{modified} {size}" if modified and size is not None else None)
    # A validator that a database may refuse is ignored.
    storable = (
        validator and validator.isascii() and validator.isprintable() and len(validator) <= _LONGEST_VALIDATOR
    )
    return validator if storable else None
