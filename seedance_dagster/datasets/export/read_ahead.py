"""Reading clips ahead, for a file into which they are written one after the other."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from seedance_dagster.datasets.export.clips import Clip
from seedance_dagster.storage.errors import StoreError

_READERS = ThreadPoolExecutor(4, "seedance-reader")  # for all files: boto3 keeps ten connections
_AHEAD_BYTES = 32_000_000  # in memory, for each file that is being written
_TRIES = 3


def read_ahead(clips: Iterable[Clip]) -> Generator[tuple[Clip, bytes]]:
    """Yield clips with their bytes after checking their SHA-256; those that follow are read meanwhile.

    Raises:
        StoreError: A video cannot be read or is not the one that was stored.
    """
    waiting: deque[tuple[Clip, Future[bytes]]] = deque()

    def first() -> tuple[Clip, bytes]:
        clip, content = waiting.popleft()
        return clip, content.result()

    try:
        for clip in clips:
            waiting.append((clip, _READERS.submit(_bytes, clip)))
            while sum(ahead.size_bytes for ahead, _ in waiting) > _AHEAD_BYTES:
                yield first()
        while waiting:
            yield first()
    finally:
        for _, content in waiting:
            content.cancel()


def _bytes(clip: Clip) -> bytes:
    for _ in range(_TRIES - 1):
        with contextlib.suppress(StoreError):
            return clip.video.read_bytes()
    return clip.video.read_bytes()
