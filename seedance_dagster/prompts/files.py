"""References to the team's own files: paths beside the prompt file, and s3:// addresses.

In a request each carries the hash of its content, as in `references/cat.png#sha256=...`: the content is the
file's identity, wherever it is stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Self

from seedance_dagster.prompts.problems import UnreadableError

_MARK = "#sha256="
_S3 = "s3://"
_LINKS = ("http://", "https://")
_MOST_LISTED = 10_000
_REMEMBERED = 50_000  # hashes; about 15 MB


@dataclass(frozen=True)
class FileReference:
    """One of the team's own files, as a request refers to it.

    Attributes:
        location: A path as written in the prompt file, or `s3://bucket/key`.
        sha256: The hash of its content, in hex; None for an object in S3 that no run has read yet.
    """

    location: str
    sha256: str | None = None

    @classmethod
    def parse(cls, reference: str) -> Self | None:
        """Read a reference of a request; return None for a link.

        Example:
            >>> FileReference.parse("references/cat.png#sha256=5f3a").sha256
            '5f3a'
        """
        if reference.lower().startswith(_LINKS):
            return None
        location, _, sha256 = reference.partition(_MARK)
        return cls(location, sha256 or None)

    def __str__(self) -> str:
        return self.location if self.sha256 is None else f"{self.location}{_MARK}{self.sha256}"

    @property
    def in_s3(self) -> bool:
        """True for an object in S3."""
        return self.location.startswith(_S3)

    @property
    def bucket_and_key(self) -> tuple[str, str]:
        """The bucket and the key of an object in S3; either may be empty."""
        bucket, _, key = self.location.removeprefix(_S3).partition("/")
        return bucket, key

    @property
    def suffix(self) -> str:
        """The extension of its name in lower case, such as ".png"."""
        return PurePosixPath(self.location).suffix.lower()

    @property
    def identity(self) -> str:
        """Its part of a fingerprint: the hash of its content, or its address while the content is unknown."""
        return self.location if self.sha256 is None else f"sha256:{self.sha256}"


def hash_file(folder: Path | None, location: str, *, max_bytes: int) -> str:
    """Return the SHA-256 of a local file, in hex; an unchanged file is not read again.

    Args:
        folder: The folder of the prompt file, resolved; the path is relative to it.
        location: The path as written in the prompt file.
        max_bytes: The size of the largest file that can be used.

    Raises:
        UnreadableError: The file cannot be used; the message continues its name, as in "does not exist".
    """
    path, status = _find(folder, location, max_bytes)
    state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    try:
        return _digest(path, *state)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None


def read_file(folder: Path | None, reference: FileReference, *, max_bytes: int) -> bytes:
    """Return the bytes of a local file.

    Raises:
        UnreadableError: As for `hash_file`; or the content is no longer the one that the reference names.
    """
    path, _ = _find(folder, reference.location, max_bytes)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != reference.sha256:
        raise UnreadableError("was edited just now: launch the run again")
    return content


def too_large(size: int, max_bytes: int) -> str | None:
    """Return why a file of this size cannot be used; None where it can."""
    if size == 0:
        return "is empty (0 bytes)"
    if size > max_bytes:
        return f"has {size / 1024**2:.1f} MB; at most {max_bytes / 1024**2:g} MB can be uploaded"
    return None


def _find(folder: Path | None, location: str, max_bytes: int) -> tuple[Path, os.stat_result]:
    if folder is None:
        raise UnreadableError(
            "is a path, but these prompts do not come from a local folder: write a link or an s3:// address"
        )
    if location.startswith(("/", "~")):
        raise UnreadableError(
            "is an absolute path; allowed are paths from the prompt file's folder, such as references/cat.png"
        )
    try:
        path = (folder / location).resolve()
        if not path.is_relative_to(folder):
            raise UnreadableError("leads out of the prompt file's folder: copy the file into it")
        status = path.stat()
    except FileNotFoundError:
        hint = _why_missing(folder, location)
        raise UnreadableError(f"does not exist in the prompt file's folder ({hint})") from None
    except (OSError, ValueError, RuntimeError) as error:  # a loop of symbolic links, a name with a NUL
        raise UnreadableError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("is a folder" if path.is_dir() else "is not a regular file")
    if reason := too_large(status.st_size, max_bytes):
        raise UnreadableError(reason)
    return path, status


def _why_missing(folder: Path, location: str) -> str:
    """Return what may be wrong with a path to no file."""
    if "\\" in location:
        return "write / in place of \\"
    path = folder / location
    with contextlib.suppress(OSError, ValueError):
        for other in islice(path.parent.iterdir(), _MOST_LISTED):
            if _same_name(other.name) == _same_name(path.name):
                return f"there is {other.name!a}, which differs in case or in how accents are written"
    return "links begin with https://"


def _same_name(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


@lru_cache(maxsize=_REMEMBERED)
def _digest(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
