"""The video store: objects in a bucket, through any S3 client and at any endpoint."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from seedance_dagster.net.secrets import one_line
from seedance_dagster.storage.errors import (
    NO_BUCKET,
    StoreError,
    bucket_name,
    error_code,
    http_status,
    user_errors,
)
from seedance_dagster.storage.keys import TASK_ID
from seedance_dagster.storage.objects import ListedObject, ObjectInfo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["ListedObject", "ObjectInfo", "StoreError", "VideoStore", "create_client"]

_MIB = 1024 * 1024
_NOT_FOUND = {"404", "NoSuchKey", "NotFound"}
_CHANGED = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
# Stores that know no conditions refuse a write with them, each in its own way.
_PERHAPS_NO_CONDITIONS = {304, 400, 403, 405, 501}
_NOT_THE_CONDITION = {"RequestTimeout", "BadDigest", "IncompleteBody", "ExpiredToken", "InvalidToken"}


def create_client(factory: Callable[[], S3Client]) -> S3Client:
    """Create an S3 client; raise `StoreError` for settings that boto3 cannot use."""
    try:
        return factory()
    except (BotoCoreError, ValueError) as error:
        raise StoreError(f"S3 cannot be reached with these settings: {one_line(str(error))}") from None


def write_freely() -> None:
    """Let a write go ahead."""


class VideoStore:
    """The objects of one bucket; thread-safe, as boto3's clients are.

    Args:
        client: A boto3 S3 client.
        bucket: The bucket's name; if it is empty, the first use raises `StoreError`.
        prefix: The beginning of every key; slashes around it do not count.

    Raises:
        StoreError: The bucket is no bucket's name.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str = "seedance") -> None:
        self.client = client
        self.bucket = bucket_name(bucket)
        self.prefix = prefix.strip("/")
        self._knows_conditions = True  # until it refused one and took the same without

    def uri(self, key: str) -> str:
        """Return the key as an s3:// URI."""
        return f"s3://{self.bucket}/{key}"

    @user_errors
    def check_writable(self) -> None:
        """Write a small object, then delete it where that is allowed.

        Raises:
            StoreError: No bucket is set, it is missing, or it cannot be written.
        """
        if not self.bucket:
            raise StoreError(NO_BUCKET)
        key = "/".join(part for part in (self.prefix, ".writable") if part)
        self.client.put_object(Bucket=self.bucket, Key=key, Body=b"ok", ContentType="text/plain")
        with contextlib.suppress(ClientError):
            # Where the bucket forbids deletion, this one object stays.
            self.client.delete_object(Bucket=self.bucket, Key=key)

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
            key: The object's key.
            path: The file; S3 accepts up to 5 GB in one request.
            content_type: Such as "video/mp4".
            sha256: Of the file, in hex; stored as metadata.
            metadata: Further metadata, lower-case ASCII names.
            overwrite: Upload the file whatever lies there.
            before_write: Called between the look at what lies there and the write; raises to leave it.

        Raises:
            StoreError: S3 refused, the object there is another task's or changed meanwhile, or the object's
                size differs from the file's.
        """
        size = path.stat().st_size
        existing = None if overwrite else self._find(key, metadata)
        if existing and (existing.size_bytes, existing.metadata.get("sha256")) == (size, sha256):
            return
        before_write()

        def write(**condition: Any) -> None:
            with path.open("rb") as file:
                # Not in parts: they use memory, and an interrupted upload leaves them behind, to be paid for.
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=file,
                    ContentType=content_type,
                    Metadata={**metadata, "sha256": sha256},
                    **condition,
                )

        write() if overwrite else self._write(write, key, existing)
        stored = self._head(key)
        if stored is None or stored.size_bytes != size:
            actual = "is missing" if stored is None else f"has {stored.size_bytes} bytes"
            raise StoreError(f"{self.uri(key)} {actual} after an upload of {size} bytes")

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
            StoreError: S3 refused, or the object there is another task's or changed meanwhile.
        """
        existing = None if overwrite else self._find(key, metadata)
        if existing and existing.size_bytes == len(body) and self.get_bytes(key) == body:
            return
        before_write()
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        write = functools.partial(
            self.client.put_object,
            Bucket=self.bucket,
            Key=key,
            Body=body,
            ContentType=content_type,
            ContentMD5=digest,
            Metadata=dict(metadata),
        )
        write() if overwrite else self._write(write, key, existing)

    @user_errors
    def put_if_absent(self, key: str, body: bytes, *, content_type: str) -> None:
        """Write a small object where there is none; one that is there stays as it is.

        Raises:
            StoreError: S3 refused.
        """
        with contextlib.suppress(ClientError):
            # Looked at first, since some servers ignore conditions.
            if self._head(key) is not None:
                return
        write = functools.partial(
            self.client.put_object, Bucket=self.bucket, Key=key, Body=body, ContentType=content_type
        )
        with contextlib.suppress(StoreError):  # another was faster
            self._write(write, key, None)

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
            into: A file that gets the bytes as well.

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

    @user_errors
    def listing(self, folder: str) -> dict[str, ListedObject]:
        """List all objects under a folder, by key.

        Args:
            folder: A path below the prefix, such as a prompt set's name; empty for everything.

        Raises:
            StoreError: The folder cannot be listed.
        """
        if not self.bucket:
            raise StoreError(NO_BUCKET)
        start = "/".join(part for part in (self.prefix.strip("/"), folder) if part)
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{start}/" if start else ""
        )
        return {
            item["Key"]: ListedObject(item["Size"], item.get("ETag", "").strip('"'), item["LastModified"])
            for page in pages
            for item in page.get("Contents", [])
        }

    def _find(self, key: str, metadata: Mapping[str, str]) -> ObjectInfo | None:
        """Return the object at a key; raise `StoreError` when it is another task's."""
        existing = None
        with contextlib.suppress(ClientError):
            # Without permission to list, S3 does not say that an object is missing.
            existing = self._head(key)
        if existing is not None and existing.metadata.get(TASK_ID) != metadata.get(TASK_ID):
            owner = existing.metadata.get(TASK_ID, "nobody known")
            raise StoreError(f"{self.uri(key)} is not overwritten: it belongs to {owner}")
        return existing

    def _write(self, write: Callable[..., object], key: str, existing: ObjectInfo | None) -> None:
        """Write an object, unless another has taken its place since it was looked at."""
        if not self._knows_conditions:
            write()
            return
        condition = {"IfNoneMatch": "*"}
        if existing is not None:
            condition = {"IfMatch": existing.etag} if existing.etag else {}
        try:
            write(**condition)
        except ClientError as error:
            if error_code(error) in _CHANGED:
                raise StoreError(f"{self.uri(key)} was written by another worker meanwhile") from None
            if http_status(error) not in _PERHAPS_NO_CONDITIONS or error_code(error) in _NOT_THE_CONDITION:
                raise
            write()
            self._knows_conditions = False

    def _head(self, key: str) -> ObjectInfo | None:
        try:
            response = self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) in _NOT_FOUND:
                return None
            raise
        metadata = {name.lower(): value for name, value in response.get("Metadata", {}).items()}
        content_type, etag = response.get("ContentType", ""), response.get("ETag", "")
        return ObjectInfo(response["ContentLength"], content_type, metadata, etag)
