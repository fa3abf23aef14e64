"""Destinations of a dataset, such as a folder; a file is hidden until it is complete."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from seedance_dagster.datasets.export.errors import ExportError

_PART = ".seedance-part"


class Destination(Protocol):
    """A place for the files of one dataset; paths have slashes."""

    def __str__(self) -> str:
        """Return its name, as a user gave it."""

    def opened(self) -> contextlib.AbstractContextManager[None]:
        """Keep other exports out, where that can be done; raise `ExportError`."""

    def is_empty(self) -> bool:
        """Return True if it holds nothing but hidden files."""

    def read(self, path: str) -> bytes | None:
        """Return the content of a small file; None where there is none."""

    def sha256(self, path: str) -> str | None:
        """Return the SHA-256 of a file in hex; None where there is none."""

    def scratch(self, path: str) -> Path:
        """Return the path at which a file is written before it is put in its place."""

    def put(self, path: str, file: Path, sha256: str) -> None:
        """Put a written file in its place, and replace an earlier one."""

    def delete(self, path: str) -> None:
        """Delete a file."""

    def has_folder(self, path: str) -> bool:
        """Return True if there are files below a path."""

    def uri(self, path: str) -> str:
        """Return the address of a file or a folder, for other programs."""

    def storage_options(self) -> dict[str, str]:
        """Return the options that Lance needs to reach it; none for a folder."""


class FolderDestination:
    """A folder, which is made if it is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._part = folder / _PART

    def __str__(self) -> str:
        return str(self._folder)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Keep other exports out; raise `ExportError` if one is running."""
        self._folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            self._lock(handle)
            self._part.mkdir(exist_ok=True)
            try:
                yield
            finally:
                shutil.rmtree(self._part, ignore_errors=True)
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportError(f"{self}: another export is writing there; wait for its end") from None
        except OSError:
            pass  # some file systems have no locks

    def is_empty(self) -> bool:
        """Return True if the folder holds nothing but hidden files."""
        return all(path.name.startswith(".") for path in self._folder.iterdir())

    def read(self, path: str) -> bytes | None:
        """Return the content of a small file; None where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / path).read_bytes()
        return None

    def sha256(self, path: str) -> str | None:
        """Return the SHA-256 of a file in hex; None where there is none."""
        with contextlib.suppress(FileNotFoundError), (self._folder / path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
        return None

    def scratch(self, path: str) -> Path:
        """Return the path at which a file is written before it is moved to its place."""
        return self._part / hashlib.sha256(path.encode()).hexdigest()

    def put(self, path: str, file: Path, sha256: str) -> None:  # noqa: ARG002  for other places
        """Move a written file to its place, and replace an earlier one."""
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)

    def delete(self, path: str) -> None:
        """Delete a file, and its folder if that is empty then."""
        target = self._folder / path
        target.unlink(missing_ok=True)
        if target.parent != self._folder:
            with contextlib.suppress(OSError):
                target.parent.rmdir()

    def has_folder(self, path: str) -> bool:
        """Return True if there are files below a path."""
        return (self._folder / path).is_dir()

    def uri(self, path: str) -> str:
        """Return the path of a file or a folder."""
        return str(self._folder / path)

    def storage_options(self) -> dict[str, str]:
        """Return nothing: a folder needs no options."""
        return {}


def os_words(error: OSError) -> str:
    """Return the system's message, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: free some space, then run the export again; it continues where it stopped"
    return error.strerror or str(error)
