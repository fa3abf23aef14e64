"""A place in S3 for a dataset; files are written on this machine first, one for each thread."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from seedance_dagster.datasets.export.destination import Destination, FolderDestination
from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.net.s3_locations import LocationError, s3_location
from seedance_dagster.storage.s3 import VideoStore

_TYPES = {".mp4": "video/mp4", ".json": "application/json", ".md": "text/markdown; charset=utf-8"}


class S3Destination:
    """A prefix in a bucket, reached with the client of the videos."""

    def __init__(self, store: VideoStore) -> None:
        self._store = store
        self._folder = Path()

    def __str__(self) -> str:
        return self._store.uri(self._store.prefix)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Make a folder on this machine for files to upload, and delete it at the end."""
        with tempfile.TemporaryDirectory(prefix="seedance-", ignore_cleanup_errors=True) as folder:
            self._folder = Path(folder)
            yield

    def is_empty(self) -> bool:
        """Return True if there are no objects."""
        return not self._store.listing("")

    def read(self, path: str) -> bytes | None:
        """Return the content of a small object; None where there is none."""
        return None if self._store.head(self._key(path)) is None else self._store.get_bytes(self._key(path))

    def sha256(self, path: str) -> str | None:
        """Return the SHA-256 that an object was written with; None where there is none, "" if unknown."""
        known = self._store.head(self._key(path))
        return None if known is None else known.metadata.get("sha256", "")

    def scratch(self, path: str) -> Path:
        """Return the path at which a file is written before it is uploaded."""
        return self._folder / hashlib.sha256(path.encode()).hexdigest()

    def put(self, path: str, file: Path, sha256: str) -> None:
        """Upload a written file, and replace an earlier one."""
        self._store.put_file(
            self._key(path),
            file,
            content_type=_TYPES.get(Path(path).suffix, "application/octet-stream"),
            sha256=sha256,
            metadata={},
            overwrite=True,
        )
        file.unlink()

    def delete(self, path: str) -> None:
        """Delete an object."""
        if not self._store.delete(self._key(path)):
            raise ExportError(f"{self._store.uri(self._key(path))} is out of date and may not be deleted")

    def has_folder(self, path: str) -> bool:
        """Return True if there are objects below a path."""
        return bool(self._store.listing(path))

    def uri(self, path: str) -> str:
        """Return the URI of an object or a folder."""
        return self._store.uri(self._key(path))

    def storage_options(self) -> dict[str, str]:
        """Return endpoint, region and the current credentials, as Lance names them."""
        import boto3  # noqa: PLC0415  heavy

        meta = self._store.client.meta
        options = {"aws_region": meta.region_name, "aws_endpoint": meta.endpoint_url}
        options["allow_http"] = str(meta.endpoint_url.startswith("http://")).lower()
        credentials = boto3.Session().get_credentials()
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            options["aws_access_key_id"] = frozen.access_key or ""
            options["aws_secret_access_key"] = frozen.secret_key or ""
            if frozen.token:
                options["aws_session_token"] = frozen.token
        return options

    def _key(self, path: str) -> str:
        return f"{self._store.prefix}/{path}" if self._store.prefix else path


def open_destination(place: str, videos: VideoStore) -> Destination:
    """Return the destination that a user named.

    Args:
        place: A folder, or `s3://bucket/prefix`.
        videos: The store of the videos, whose credentials reach the bucket.

    Raises:
        ExportError: It is among the videos, is a file, or is a mistyped address.
        StoreError: The prefix cannot be used.
    """
    try:
        location = s3_location(place)
    except LocationError as error:
        raise ExportError(f"{place} {error}") from None
    if location is None:
        folder = Path(place).expanduser()
        if folder.exists() and not folder.is_dir():
            raise ExportError(f"{place} is a file; name a folder")
        return FolderDestination(folder)
    bucket, prefix = location
    store = VideoStore(videos.client, bucket, prefix)
    inside = not videos.prefix or f"{store.prefix}/".startswith(f"{videos.prefix}/")
    if bucket == videos.bucket and inside:
        raise ExportError(
            f"{place} is among the stored videos ({videos.uri(videos.prefix)}); choose another bucket or "
            "prefix"
        )
    return S3Destination(store)
