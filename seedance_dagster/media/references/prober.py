"""Probing a reference: a cached probe is reused while valid; else as few bytes as possible are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from http import HTTPStatus

import aiohttp
from yarl import URL

from seedance_dagster.ledger.references import CachedProbe
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.references.duration import duration_of
from seedance_dagster.media.references.facts import FileFacts
from seedance_dagster.media.references.file_types import FileType, type_of
from seedance_dagster.media.references.host import (
    Head,
    PartialDownload,
    ProbeLimits,
    ReferenceHost,
    UnusableReferenceError,
    megabytes,
)
from seedance_dagster.net.failures import failure_reason
from seedance_dagster.net.hosts import SilentHostError
from seedance_dagster.net.links import LinkError
from seedance_dagster.threads import in_thread

_TRUSTED_FOR = timedelta(minutes=10)  # without a validator
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


class Prober:
    """A prober of references; a host that was silent once is not contacted again for its next file."""

    def __init__(self, host: ReferenceHost, limits: ProbeLimits, clock: Callable[[], datetime]) -> None:
        self._host = host
        self._limits = limits
        self._clock = clock
        self._silent: dict[str, str] = {}
        self._slots = asyncio.Semaphore(limits.at_once)

    async def probe(self, url: str, cached: CachedProbe | None) -> CachedProbe:
        """Return the current facts about a file.

        Args:
            url: The whole URL.
            cached: An earlier probe, returned if it is still valid.

        Raises:
            UnusableReferenceError: The file cannot be reached, read or played; the message omits the URL.
        """
        async with self._slots:
            try:
                async with asyncio.timeout(self._limits.total_s):
                    return await self._probe(url, cached)
            except SilentHostError as error:
                self._silent[error.origin] = f"cannot be reached: {error}"
                raise UnusableReferenceError(self._silent[error.origin]) from None
            except LinkError as error:
                raise UnusableReferenceError(f"is not followed: {error}") from None
            except MediaError as error:
                raise UnusableReferenceError(str(error)) from None
            except TimeoutError:
                raise UnusableReferenceError(
                    f"cannot be read: its host takes longer than {self._limits.idle_s:g} s for a byte "
                    f"or {self._limits.total_s:g} s in all"
                ) from None
            except aiohttp.ClientError as error:
                raise UnusableReferenceError(f"cannot be read: {failure_reason(error)}") from None
            except OSError as error:
                raise UnusableReferenceError(f"cannot be read: {error.strerror or error}") from None
            except ValueError:
                # A host name that resolvers do not accept, such as one with an overlong label.
                raise UnusableReferenceError("is not a valid URL") from None

    async def _probe(self, url: str, cached: CachedProbe | None) -> CachedProbe:
        silent = self._silent.get(str(URL(url).origin()))
        if silent is not None:
            raise UnusableReferenceError(silent)
        head = await self._host.head(url)
        if cached is not None and head is not None and self._is_valid(cached, head):
            return cached
        probe = await self._read(url, head)
        before = None if cached is None else cached.facts["sha256"]
        if cached is not None and probe.facts["sha256"] != before:
            again = await self._read(url, head)
            if again.facts["sha256"] != probe.facts["sha256"]:
                # The bytes differ at each read, as with a date inside, so they do not show a change.
                return replace(again, facts=again.facts | {"sha256": None})
        return probe

    async def _read(self, url: str, head: Head | None) -> CachedProbe:
        download = await self._host.begin(url, head.size if head else None)
        kind = type_of(download.file.start)
        duration = await self._duration(url, download, kind) if kind.container else None
        facts = FileFacts(
            media_type=kind.value,
            size_bytes=download.file.size,
            sha256=await in_thread(download.file.sha256),
            duration_s=duration,
        )
        return CachedProbe(asdict(facts), download.validator, self._clock())

    def _is_valid(self, cached: CachedProbe, head: Head) -> bool:
        if head.validator is not None:
            return cached.validator == head.validator
        return head.status not in _GONE and self._clock() - cached.checked_at < _TRUSTED_FOR

    async def _duration(self, url: str, download: PartialDownload, kind: FileType) -> float:
        file, limits = download.file, self._limits
        while True:
            duration = await in_thread(duration_of, file, kind)
            if duration is not None:
                return duration
            if not download.ranged:
                raise UnusableReferenceError(
                    f"is {kind.words} whose length is not in its first {megabytes(file.held)}, and its host "
                    "sends no parts: move its index to the front (ffmpeg -movflags +faststart)"
                )
            if file.held + limits.part_bytes > limits.max_bytes:
                raise UnusableReferenceError(
                    f"is {kind.words} whose length could not be found in {megabytes(limits.max_bytes)} of it"
                )
            assert file.missing is not None
            offset = file.missing // limits.part_bytes * limits.part_bytes
            file.put(offset, await self._host.part(url, offset))
