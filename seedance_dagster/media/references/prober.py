"""One look at a reference: answered by what was seen before, or by as few of the file's bytes as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from http import HTTPStatus

import aiohttp
from yarl import URL

from seedance_dagster.ledger.references import CachedProbe
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
from seedance_dagster.media.video import MediaError
from seedance_dagster.net.hosts import SilentHostError
from seedance_dagster.net.links import LinkError
from seedance_dagster.threads import in_thread

_TRUSTED_FOR = timedelta(minutes=10)  # without a validator
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


class Prober:
    """Looks at references; what one host's silence taught is not learned again for its next file."""

    def __init__(self, host: ReferenceHost, limits: ProbeLimits, clock: Callable[[], datetime]) -> None:
        self._host = host
        self._limits = limits
        self._clock = clock
        self._silent: dict[str, str] = {}
        self._room = asyncio.Semaphore(limits.at_once)

    async def look(self, url: str, seen: CachedProbe | None) -> CachedProbe:
        """What is known of a file now.

        Args:
            url: The whole URL.
            seen: What an earlier look found; it is returned if it still holds.

        Raises:
            UnusableReferenceError: The file cannot be reached, read or played; says why without the URL.
        """
        async with self._room:
            try:
                async with asyncio.timeout(self._limits.total_s):
                    return await self._look(url, seen)
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
                raise UnusableReferenceError(f"cannot be read: {_words(error)}") from None
            except OSError as error:
                raise UnusableReferenceError(f"cannot be read: {error.strerror or error}") from None
            except ValueError:
                # A host that no resolver takes, such as one with an overlong label.
                raise UnusableReferenceError("is no URL that can be followed") from None

    async def _look(self, url: str, seen: CachedProbe | None) -> CachedProbe:
        silent = self._silent.get(str(URL(url).origin()))
        if silent is not None:
            raise UnusableReferenceError(silent)
        head = await self._host.head(url)
        if seen is not None and head is not None and self._holds(seen, head):
            return seen
        begun = await self._host.begin(url, head.size if head else None)
        kind = type_of(begun.file.start)
        duration = await self._duration(url, begun, kind) if kind.container else None
        facts = FileFacts(
            media_type=kind.value,
            size_bytes=begun.file.size,
            sha256=await in_thread(begun.file.sha256),
            duration_s=duration,
        )
        return CachedProbe(asdict(facts), begun.validator, self._clock())

    def _holds(self, seen: CachedProbe, head: Head) -> bool:
        if head.validator is not None:
            return seen.validator == head.validator
        return head.status not in _GONE and self._clock() - seen.checked_at < _TRUSTED_FOR

    async def _duration(self, url: str, begun: PartialDownload, kind: FileType) -> float:
        file, limits = begun.file, self._limits
        while True:
            duration = await in_thread(duration_of, file, kind)
            if duration is not None:
                return duration
            if not begun.ranged:
                raise UnusableReferenceError(
                    f"is {kind.words} whose first {megabytes(file.held)} do not tell its length, and its "
                    "host sends no parts: put its index in front (ffmpeg -movflags +faststart)"
                )
            if file.held + limits.part_bytes > limits.max_bytes:
                raise UnusableReferenceError(
                    f"is {kind.words} whose length {megabytes(limits.max_bytes)} of it do not tell"
                )
            assert file.missing is not None
            offset = file.missing // limits.part_bytes * limits.part_bytes
            file.put(offset, await self._host.part(url, offset))


def _words(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended early"
    return f"its host does not answer as it should ({type(error).__name__})"
