"""The video store: objects in a bucket, through any S3 client and at any endpoint."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import ClientError

from seedance_dagster.storage.errors import (
    ABSENT_CODES,
    NO_BUCKET,
    StoreError,
    error_code,
    in_trouble,
    user_errors,
)
from seedance_dagster.storage.keys import TASK_ID, probe_key
from seedance_dagster.storage.names import bucket_name, check_endpoint, prefix_path
from seedance_dagster.storage.objects import ListedObject, ObjectInfo, read_page
from seedance_dagster.storage.requests import RequestOptions
from seedance_dagster.storage.versions import VersionedObjects
from seedance_dagster.storage.writer import Writer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MIB = 1024 * 1024
_DEFAULTS = RequestOptions()


def write_freely() -> None:
    """Allow a write."""


class VideoStore(VersionedObjects):
    """The objects of one bucket; thread-safe, as boto3's clients are.

    Args:
        client: A boto3 S3 client.
        bucket: The bucket's name; if it is empty, the first use raises `StoreError`.
        prefix: The beginning of every key; slashes around it are ignored.
        options: The options of every request.

    Raises:
        StoreError: The bucket's name or the prefix is not valid.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        prefix: str = "seedance",
        options: RequestOptions = _DEFAULTS,
    ) -> None:
        self.client = client
        self.bucket = bucket_name(bucket)
        self.prefix = prefix_path(prefix)
        self.options = options
        self.writer = Writer(client, self.bucket)
        options.apply(client)

    def uri(self, key: str) -> str:
        """Return the key as an s3:// URI."""
        return f"s3://{self.bucket}/{key}"

    def below(self, folder: str) -> VideoStore:
        """Return the store of a folder below the prefix."""
        return VideoStore(self.client, self.bucket, f"{self.prefix}/{folder}")

    @property
    def configuration(self) -> str:
        """The place and the options of the store, as a hash."""
        meta = self.client.meta
        place = (meta.endpoint_url, meta.region_name, self.bucket, self.prefix, self.options)
        return hashlib.sha256(repr(place).encode()).hexdigest()[:16]

    @user_errors
    def check_writable(self) -> None:
        """Write a small object, and delete it if that is allowed; raise `StoreError` if it is not written."""
        self._check_place()
        key = probe_key(self.prefix)
        self.writer.write(key, b"ok", content_type="text/plain", metadata={}, conditional=False)
        self.delete(key)

    @user_errors
    def write_probe(self, key: str, path: Path, metadata: Mapping[str, str]) -> None:
        """Write a file like a video, over any that an earlier check left; raise `StoreError`."""
        self._check_place()
        self.writer.write(key, path, content_type="video/mp4", metadata=metadata, conditional=False)

    @user_errors
    def delete(self, key: str) -> bool:
        """Delete an object; return False where that is not allowed; raise `StoreError`."""
        try:
            self.client.delete_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if in_trouble(error):
                raise  # it says nothing of permissions
            return False  # the object stays
        return True

    @user_errors
    def put_file(
        self,
        key: str,
        path: Path,
        *,
        content_type: str,
        sha256: str,
        metadata: Mapping[str, str],
        overwrite: bool = False,
        before_write: Callable[[], None] = write_freely,
    ) -> None:
        """Upload a file in one request with constant memory, and check that all of it arrived.

        A file that an interrupted worker has uploaded already is not uploaded again.

        Args:
            path: The file; S3 accepts up to 5 GB in one request.
            content_type: Such as "video/mp4".
            sha256: The SHA-256 of the file in hex; stored as metadata.
            metadata: Further metadata, lower-case ASCII names.
            overwrite: Upload the file over any existing object.
            before_write: Called between the check for an existing object and the write; may raise to prevent
                it.

        Raises:
            StoreError: S3 refused, the existing object is another task's or changed meanwhile, or the stored
                size differs from the file's.
        """
        size = path.stat().st_size
        existing = None if overwrite else self._find(key, metadata)
        if existing and (existing.size_bytes, existing.metadata.get("sha256")) == (size, sha256):
            return
        before_write()

        self.writer.write(
            key,
            path,
            content_type=content_type,
            metadata={**metadata, "sha256": sha256},
            existing=existing,
            conditional=not overwrite,
        )
        stored = self._head(key)
        if stored is None or stored.size_bytes != size:
            actual = "is missing" if stored is None else f"has {stored.size_bytes} bytes"
            raise StoreError(
                f"{self.uri(key)} {actual} after an upload of {size} bytes{self.writer.advice_on_size}"
            )

    @user_errors
    def put_bytes(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        overwrite: bool = False,
        before_write: Callable[[], None] = write_freely,
    ) -> None:
        """Write a small object in one request; the server verifies its MD5.

        An equal object is left unchanged, unless `overwrite`; the other arguments are those of `put_file`.

        Raises:
            StoreError: S3 refused, or the existing object is another task's or changed meanwhile.
        """
        existing = None if overwrite else self._find(key, metadata)
        if existing and existing.size_bytes == len(body) and self.get_bytes(key) == body:
            return
        before_write()
        self.writer.write(
            key,
            body,
            content_type=content_type,
            metadata=metadata,
            existing=existing,
            conditional=not overwrite,
        )

    @user_errors
    def put_if_absent(self, key: str, body: bytes, *, content_type: str) -> None:
        """Write a small object where there is none; an existing one stays as it is.

        Raises:
            StoreError: S3 refused.
        """
        if self._head_if_told(key) is not None:  # checked first, since some servers ignore conditions
            return
        with contextlib.suppress(StoreError):  # another writer was faster
            self.writer.write(key, body, content_type=content_type, metadata={})

    @user_errors
    def get_bytes(self, key: str) -> bytes:
        """Read a small object into memory.

        Raises:
            StoreError: The object does not exist or cannot be read.
        """
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    @user_errors
    def digest(self, key: str, into: BinaryIO | None = None) -> str:
        """Return the SHA-256 of an object's bytes in hex, read with constant memory.

        Args:
            into: A file to which the bytes are written as well.

        Raises:
            StoreError: The object does not exist or cannot be read.
        """
        digest = hashlib.sha256()
        for part in self.client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(_MIB):
            digest.update(part)
            if into is not None:
                into.write(part)
        return digest.hexdigest()

    @user_errors
    def copy(self, key: str, to: str) -> None:
        """Copy an object of up to 5 GB within the bucket, with its metadata.

        Raises:
            StoreError: The object does not exist, or S3 refused.
        """
        self.client.copy_object(Bucket=self.bucket, Key=to, CopySource={"Bucket": self.bucket, "Key": key})

    @user_errors
    def head(self, key: str) -> ObjectInfo | None:
        """Return the properties of an object; None when it does not exist."""
        return self._head(key)

    def listing(self, folder: str) -> dict[str, ListedObject]:
        """List all objects under a folder, by key.

        Args:
            folder: A path below the prefix, such as a prompt set's name; empty for everything.

        Raises:
            StoreError: The folder cannot be listed.
        """
        return dict(self.iter_objects(folder))

    def iter_objects(self, folder: str) -> Iterator[tuple[str, ListedObject]]:
        """Yield all objects under a folder with their keys, as `listing`, a page of a thousand at a time."""
        self._check_place()
        start = "/".join(part for part in (self.prefix.strip("/"), folder) if part)
        paginator = self.client.get_paginator("list_objects_v2")
        pages = iter(paginator.paginate(Bucket=self.bucket, Prefix=f"{start}/" if start else ""))
        while (page := self._next_page(folder, pages)) is not None:
            yield from read_page(page)

    @user_errors
    def _next_page(self, _folder: str, pages: Iterator[Any]) -> Any:
        return next(pages, None)

    def _check_place(self) -> None:
        if not self.bucket:
            raise StoreError(NO_BUCKET)
        check_endpoint(self.client.meta.endpoint_url, self.bucket)

    def _find(self, key: str, metadata: Mapping[str, str]) -> ObjectInfo | None:
        """Return the object at a key; raise `StoreError` when it is another task's."""
        existing = self._head_if_told(key)
        if existing is not None and existing.metadata.get(TASK_ID) != metadata.get(TASK_ID):
            owner = existing.metadata.get(TASK_ID, "an unknown owner")
            raise StoreError(f"{self.uri(key)} is not overwritten: it belongs to {owner}")
        return existing

    def _head_if_told(self, key: str) -> ObjectInfo | None:
        """Return `_head`; None where it is refused: without permission to list, S3 does not say "missing"."""
        try:
            return self._head(key)
        except ClientError as error:
            if in_trouble(error):
                raise
            return None

    def _head(self, key: str) -> ObjectInfo | None:
        try:
            response = self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) in ABSENT_CODES:
                return None
            raise
        metadata = {name.lower(): value for name, value in response.get("Metadata", {}).items()}
        content_type, etag = response.get("ContentType", ""), response.get("ETag", "")
        return ObjectInfo(self._size(key, response), content_type, metadata, etag)

    def _size(self, key: str, response: Mapping[str, Any]) -> int:
        """Return an object's size, by reading it where a store or proxy leaves the length out of a HEAD."""
        if "ContentLength" in response:
            return int(response["ContentLength"])
        return sum(map(len, self.client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(_MIB)))
