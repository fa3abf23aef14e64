"""OrderRequest a reference's host for the file's head and for parts of it, within bounds."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from seedance_dagster.media.references.duration import PartialFile
from seedance_dagster.media.references.file_types import MAGIC_BYTES, type_of
from seedance_dagster.net.hosts import request
from seedance_dagster.net.links import LinkError

_CHUNK_BYTES = 64 * 1024
_LONGEST_VALIDATOR = 300
_MISSES = {
    HTTPStatus.NOT_FOUND: "is not there",
    HTTPStatus.GONE: "is not there",
    HTTPStatus.UNAUTHORIZED: "is not open to everybody",
    HTTPStatus.FORBIDDEN: "is not open to everybody",
}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-\d+/(\d{1,15}|\*)", re.ASCII)


class UnusableReferenceError(Exception):
    """A reference cannot be used; the message goes on after its name, as in "is a web page"."""


@dataclass(frozen=True, kw_only=True)
class ProbeLimits:
    """Bounds of looking at one reference.

    Attributes:
        max_bytes: Read at most; a file up to this size is read whole and hashed.
        part_bytes: Read at once of a larger one.
        idle_s: Seconds without a byte.
        total_s: Seconds for all of it.
        at_once: References that are looked at at once.
    """

    max_bytes: int = 8 * 1024 * 1024
    part_bytes: int = 256 * 1024
    idle_s: float = 10.0
    total_s: float = 30.0
    at_once: int = 8


@dataclass(frozen=True)
class Head:
    """What a host says of a file without sending it.

    Attributes:
        status: The HTTP status; some hosts refuse HEAD and nothing else.
        size: In bytes; None when not told.
        validator: ETag, or Last-Modified and size: changes with the file; None when not told.
    """

    status: int
    size: int | None = None
    validator: str | None = None


@dataclass(frozen=True)
class PartialDownload:
    """A file whose beginning was read.

    Attributes:
        file: What is here of it.
        validator: As in `Head`.
        ranged: Whether the host sends parts.
    """

    file: PartialFile
    validator: str | None
    ranged: bool


class ReferenceHost:
    """The hosts of references, through one session that holds no key."""

    def __init__(self, session: aiohttp.ClientSession, limits: ProbeLimits, *, allow_private: bool) -> None:
        self._session = session
        self._limits = limits
        self._allow_private = allow_private

    async def head(self, url: str) -> Head | None:
        """What the host says of a file; None when it does not answer, which the GET will judge."""
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
            size: In bytes, as far as the host told it.

        Raises:
            UnusableReferenceError: The host has no such file for everybody, or it does not end.
            LinkError, aiohttp.ClientError, TimeoutError, OSError, ValueError: As `asked`.
        """
        most = self._limits.max_bytes
        small = size is None or size <= most
        async with self._get(url, 0, most if small else self._limits.part_bytes) as response:
            _check_status(response)
            ranged = response.status == HTTPStatus.PARTIAL_CONTENT
            size = _told_size(response)
            if size == 0:
                raise UnusableReferenceError("is empty (0 bytes)")
            start = await self._start(response, size, ranged=ranged)
            if size is None and await response.content.read(1):
                raise UnusableReferenceError(
                    f"is larger than {megabytes(most)}, and its host does not say how large"
                )
            size = len(start) if size is None else size
            return PartialDownload(PartialFile(start, size), _validator(response.headers, size), ranged)

    async def part(self, url: str, offset: int) -> bytes:
        """One more part of a file; raises as `begin`."""
        async with self._get(url, offset, self._limits.part_bytes) as response:
            part = await _read(response, self._limits.part_bytes) if _range(response) == offset else b""
            if not part:
                raise UnusableReferenceError("cannot be read: its host no longer sends parts of it")
            return part

    def _get(
        self, url: str, offset: int, count: int
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        wanted = {"Range": f"bytes={offset}-{offset + count - 1}"}
        return request(self._session, "GET", url, allow_private=self._allow_private, headers=wanted)

    async def _start(self, response: aiohttp.ClientResponse, size: int | None, *, ranged: bool) -> bytes:
        magic = await _read(response, MAGIC_BYTES)
        enough = self._limits.max_bytes
        if size is not None and size > enough and (ranged or not type_of(magic).container):
            enough = self._limits.part_bytes
        return magic + await _read(response, enough - len(magic))


def megabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1024**2:.1f} MB"


async def _read(response: aiohttp.ClientResponse, count: int) -> bytes:
    """So many bytes of a body, or what there is."""
    found = bytearray()
    while len(found) < count:
        chunk = await response.content.read(min(_CHUNK_BYTES, count - len(found)))
        if not chunk:
            break
        found += chunk
    return bytes(found)


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise UnusableReferenceError("is empty (0 bytes)")
    if status == HTTPStatus.OK or _range(response) == 0:
        return
    missed = next((words for each, words in _MISSES.items() if each == status), "cannot be read")
    raise UnusableReferenceError(f"{missed}: its host answers HTTP {status}")


def _range(response: aiohttp.ClientResponse) -> int | None:
    """Where the part begins that came; None for no part."""
    told = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(told[1]) if told and response.status == HTTPStatus.PARTIAL_CONTENT else None


def _told_size(response: aiohttp.ClientResponse) -> int | None:
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return response.content_length
    total = response.headers["Content-Range"].rpartition("/")[2]
    return None if total == "*" else int(total)


def _validator(headers: Mapping[str, str], size: int | None) -> str | None:
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    found = etag or (f"{modified} {size}" if modified and size is not None else None)
    # A word that a database may not take is none.
    fit = found and found.isascii() and found.isprintable() and len(found) <= _LONGEST_VALIDATOR
    return found if fit else None
