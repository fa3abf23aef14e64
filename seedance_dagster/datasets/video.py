"""A stored video with what is known about it, loaded from the ledger and read from S3."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Self

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.index import index_row
from seedance_dagster.storage.reference_objects import presigned_link
from seedance_dagster.storage.s3 import VideoStore

_WEEK_S = 7 * 24 * 3600  # the longest life of a link signed by version 4, says S3


@dataclass(frozen=True)
class Video:
    """A video of a prompt set in S3: the one that its partition shows.

    Attributes:
        prompt_set: The set.
        partition: The partition's key.
        uri: The mp4, as `s3://bucket/key`.
        sha256: Of its bytes, in hex.
        prompt: The text.
        tags: The prompt's tags.
        cost_usd: The charge in USD; None where the vendor did not report it.
        metadata: All columns of the set's index, by name.

    Example:
        >>> def length(video: Video) -> int:
        ...     with video.local() as path:
        ...         return path.stat().st_size
    """

    prompt_set: str
    partition: str
    uri: str
    sha256: str
    prompt: str
    tags: Mapping[str, str]
    cost_usd: float | None
    metadata: Mapping[str, Any] = field(repr=False)
    _store: VideoStore = field(repr=False, compare=False)
    _path: Path | None = field(default=None, repr=False, compare=False)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, as Dagster's default IO manager does with the value of an asset."""
        msg = (
            "a Video cannot be pickled, since it holds the credentials of its bucket: keep its uri, sha256 "
            "or metadata, and take the Video as a parameter of each asset that reads it"
        )
        raise TypeError(msg)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self

    def at(self, path: Path) -> Video:
        """Return the video with its bytes in a file that was downloaded and checked before."""
        return replace(self, _path=path)

    @contextmanager
    def local(self) -> Iterator[Path]:
        """Download the video and check its SHA-256; the file, named `video.mp4`, is deleted at the end.

        Raises:
            StoreError: It cannot be read, or its bytes are not those that were stored.
        """
        if self._path is not None:
            yield self._path
            return
        with tempfile.TemporaryDirectory(prefix="seedance-") as folder:
            path = Path(folder) / "video.mp4"
            self.download(path)
            yield path

    def download(self, path: Path) -> None:
        """Write the video to a file and check its SHA-256; raise as `local`."""
        with path.open("wb") as file:
            self.write_to(file)

    def write_to(self, file: BinaryIO) -> None:
        """Write the video into an open file and check its SHA-256; raise as `local`."""
        if self._path is not None:
            with self._path.open("rb") as copy:
                shutil.copyfileobj(copy, file)
            return
        self._check(self._store.digest(self._object, into=file))

    def read_bytes(self) -> bytes:
        """Return the video's bytes after checking their SHA-256; raise as `local`."""
        if self._path is not None:
            return self._path.read_bytes()
        content = self._store.get_bytes(self._object)
        self._check(hashlib.sha256(content).hexdigest())
        return content

    def first_frame(self) -> bytes | None:
        """Return the image that the request gave as the first frame; None if the mode has none.

        Raises:
            StoreError: It cannot be read, or has changed since.
        """
        from seedance_dagster.datasets.first_frame import read_first_frame  # noqa: PLC0415  loads HTTP

        return read_first_frame(self.metadata, self._store)

    def presigned_url(self, *, expires_s: int = 3600) -> str:
        """Return a link that anybody can open until it expires; treat it as a secret.

        Args:
            expires_s: Seconds until then, at most 604800: S3 refuses links that live longer than a week.
                With temporary credentials, the link ends with them.

        Raises:
            ValueError: `expires_s` is not in that range.
            StoreError: Links cannot be made with these credentials.
        """
        if not 1 <= expires_s <= _WEEK_S:
            msg = f"expires_s is {expires_s}; allowed are 1 to {_WEEK_S} seconds (a week)"
            raise ValueError(msg)
        return presigned_link(self._store.client, self._store.bucket, self._object, expires_s=expires_s)

    @property
    def _object(self) -> str:
        return self.uri.removeprefix(self._store.uri(""))

    def _check(self, sha256: str) -> None:
        if sha256 != self.sha256:
            raise StoreError(
                f"{self.uri} is not the video that was stored: its SHA-256 is {sha256} instead of "
                f"{self.sha256}; `seedance-dagster audit` says more"
            )


def load_videos(
    ledger: Ledger, store: VideoStore, prompt_set: str, partition: str | None = None
) -> dict[str, Video]:
    """Return the videos that a set's partitions show, by partition key, in the order of the set.

    Args:
        ledger: The ledger.
        store: The store of the videos.
        prompt_set: The set.
        partition: Return only the video of this partition, if it has one; None for all.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    current = ledger.videos.current(prompt_set, partition)
    return {video.partition: to_video(prompt_set, video, store) for video in current}


def to_video(prompt_set: str, video: CurrentVideo, store: VideoStore) -> Video:
    """Return the video that a partition of a set shows, as the ledger knows it."""
    row = index_row(prompt_set, video, store.uri)
    names = ("prompt_set", "partition", "uri", "sha256", "prompt", "cost_usd")
    return Video(
        **{name: row[name] for name in names},
        tags={tag["key"]: tag["value"] for tag in row["tags"]},
        metadata=row,
        _store=store,
    )
