"""Writing the files of a dataset, several at once, each complete or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from operator import itemgetter
from typing import BinaryIO, cast

from seedance_dagster.datasets.export.artifacts import Artifact
from seedance_dagster.datasets.export.destination import Destination, os_words
from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.storage.errors import StoreError

_THREADS = 4
_TRIES = 3  # a connection to S3 may break in the middle of a video


def write_artifact(artifact: Artifact, destination: Destination) -> str:
    """Write a file and put it in its place; return its SHA-256 in hex.

    Raises:
        StoreError: A video cannot be read or is not the one that was stored.
        ExportError: It cannot be written.
    """
    scratch = destination.scratch(f"{artifact.path}-{threading.get_ident()}")
    for left in reversed(range(_TRIES)):
        try:
            with scratch.open("wb") as file:
                hashing = _Hashing(file) if artifact.sha256 is None else None
                artifact.write(cast("BinaryIO", hashing or file))
            sha256 = artifact.sha256 or cast("_Hashing", hashing).sha256
            destination.put(artifact.path, scratch, sha256)
        except OSError as error:
            raise ExportError(f"{destination}: {artifact.path}: {os_words(error)}") from None
        except StoreError:
            if not left:
                raise
        else:
            return sha256
    raise AssertionError("the last try returns or raises")


def in_threads(
    work: Callable[[Artifact], None],
    artifacts: Collection[Artifact],
    progress: Callable[[int, int], None],
) -> list[tuple[str, StoreError]]:
    """Call a function with each file, in a few threads; return the files that S3 refused.

    Raises:
        ExportError: One could not be written on this machine; files that were not begun are left out.
    """
    failed: list[tuple[str, StoreError]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = {pool.submit(work, artifact): artifact for artifact in artifacts}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                try:
                    future.result()
                except StoreError as error:
                    failed.append((futures[future].path, error))
                progress(done, len(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return sorted(failed, key=itemgetter(0))


class _Hashing:
    """A file that hashes what is written into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self._digest.update(content)
        return self._file.write(content)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()
