"""The video store: objects in a bucket, through any S3 client and at any endpoint."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MIB = 1024 * 1024
_NOT_FOUND = {"404", "NoSuchKey", "NotFound"}
_THERE_ALREADY = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_NO_CONDITIONS = {"501", "NotImplemented"}
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")

P = ParamSpec("P")
T = TypeVar("T")


class StoreError(Exception):
    """The store refused or did not answer; the message says what to set or mend and holds no secret."""


@dataclass(frozen=True)
class ObjectInfo:
    """What the store knows of an object; metadata names are lower-case, whatever the server made of them."""

    size_bytes: int
    content_type: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class ListedObject:
    """What a listing tells of an object; the ETag is the MD5 in hex of what was put in one part."""

    size_bytes: int
    etag: str
    modified_at: datetime


_NO_BUCKET = "no bucket: set SEEDANCE_S3_BUCKET to the bucket that videos should go to"


def made_client(make: Callable[[], S3Client]) -> S3Client:
    """An S3 client; raises `StoreError` for settings that boto3 cannot use."""
    try:
        return make()
    except (BotoCoreError, ValueError) as error:
        raise StoreError(f"S3 cannot be reached with these settings: {error}") from None


def _user_errors(
    method: Callable[Concatenate[VideoStore, P], T],
) -> Callable[Concatenate[VideoStore, P], T]:
    @functools.wraps(method)
    def wrapped(self: VideoStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except ClientError as error:
            raise StoreError(self._words(error)) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise StoreError(
                "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from None
        except BotoCoreError as error:
            # Boto's own texts name endpoints and settings, never keys.
            raise StoreError(f"S3 did not answer: {_one_line(str(error))}") from None

    return wrapped


class VideoStore:
    """Puts and gets objects under one bucket; thread-safe, as boto3's clients are.

    Args:
        client: A boto3 S3 client.
        bucket: The bucket's name; empty when none is set, which the first use says.
        prefix: Before every key.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str = "seedance") -> None:
        self._client = client
        self.bucket = bucket
        self.prefix = prefix

    def uri(self, key: str) -> str:
        """The key as an s3:// URI."""
        return f"s3://{self.bucket}/{key}"

    @_user_errors
    def check_writable(self) -> None:
        """Write a small object, and delete it where that is allowed.

        Raises:
            StoreError: No bucket is set, it is missing, or it cannot be written.
        """
        if not self.bucket:
            raise StoreError(_NO_BUCKET)
        key = "/".join(part for part in (self.prefix, ".writable") if part)
        self._client.put_object(Bucket=self.bucket, Key=key, Body=b"ok", ContentType="text/plain")
        with contextlib.suppress(ClientError):
            # A bucket may forbid deleting; then this one object stays.
            self._client.delete_object(Bucket=self.bucket, Key=key)

    @_user_errors
    def put_file(
        self,
        key: str,
        path: Path,
        *,
        content_type: str,
        sha256: str,
        metadata: Mapping[str, str],
        overwrite: bool = False,
    ) -> None:
        """Upload a file in one request with flat memory, and check that all of it arrived.

        What an interrupted worker has uploaded already is not uploaded again.

        Args:
            key: The object's key.
            path: The file; S3 takes up to 5 GB in one request.
            content_type: Such as "video/mp4".
            sha256: Of the file, in hex; kept as metadata.
            metadata: Further metadata, lower-case ASCII names.
            overwrite: Upload it whatever is there.

        Raises:
            StoreError: The store refused, or holds another size than the file's.
        """
        size = path.stat().st_size
        with contextlib.suppress(ClientError):
            # Without the right to list, S3 will not say that there is nothing.
            there = None if overwrite else self._look(key)
            if there is not None and (there.size_bytes, there.metadata.get("sha256")) == (size, sha256):
                return
        with path.open("rb") as file:
            # Not in parts: those are held in memory, and an upload cut off leaves them behind to be paid for.
            self._client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=file,
                ContentType=content_type,
                Metadata={**metadata, "sha256": sha256},
            )
        stored = self._look(key)
        if stored is None or stored.size_bytes != size:
            found = "nothing" if stored is None else f"{stored.size_bytes} bytes"
            raise StoreError(f"{self.uri(key)} should hold {size} bytes after its upload, it holds {found}")

    @_user_errors
    def put_bytes(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        overwrite: bool = False,
    ) -> None:
        """Write a small object in one request; the server checks it against its MD5.

        Where the server honours conditions, an equal object that is there already is left alone; with
        `overwrite` nobody looks first.

        Raises:
            StoreError: The store refused.
        """
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        write = functools.partial(
            self._client.put_object,
            Bucket=self.bucket,
            Key=key,
            Body=body,
            ContentType=content_type,
            ContentMD5=digest,
            Metadata=dict(metadata),
        )
        if overwrite:
            write()
            return
        try:
            write(IfNoneMatch="*")
        except ClientError as error:
            there_already = _code(error) in _THERE_ALREADY
            if not there_already and _code(error) not in _NO_CONDITIONS:
                raise
            if not there_already or self.get_bytes(key) != body:
                write()

    @_user_errors
    def get_bytes(self, key: str) -> bytes:
        """Read a small object whole.

        Raises:
            StoreError: It is not there or cannot be read.
        """
        return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    @_user_errors
    def digest(self, key: str) -> str:
        """SHA-256 of an object's bytes in hex, read with flat memory.

        Raises:
            StoreError: It is not there or cannot be read.
        """
        digest = hashlib.sha256()
        for part in self._client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(_MIB):
            digest.update(part)
        return digest.hexdigest()

    @_user_errors
    def head(self, key: str) -> ObjectInfo | None:
        """What the store knows of an object; None where there is none."""
        return self._look(key)

    @_user_errors
    def listing(self, folder: str) -> dict[str, ListedObject]:
        """All objects under a folder of the store, by key.

        Args:
            folder: Below the prefix, such as a prompt set's name; empty for everything.

        Raises:
            StoreError: It cannot be listed.
        """
        if not self.bucket:
            raise StoreError(_NO_BUCKET)
        start = "/".join(part for part in (self.prefix.strip("/"), folder) if part)
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{start}/" if start else ""
        )
        return {
            item["Key"]: ListedObject(item["Size"], item.get("ETag", "").strip('"'), item["LastModified"])
            for page in pages
            for item in page.get("Contents", [])
        }

    def _look(self, key: str) -> ObjectInfo | None:
        try:
            found = self._client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if _code(error) in _NOT_FOUND:
                return None
            raise
        metadata = {name.lower(): value for name, value in found.get("Metadata", {}).items()}
        return ObjectInfo(found["ContentLength"], found.get("ContentType", ""), metadata)

    def _words(self, error: ClientError) -> str:
        code = _code(error)
        said = _one_line(f"{code}: {error.response.get('Error', {}).get('Message', 'no message')}")
        match code:
            case "NoSuchBucket" | "404":
                return (
                    f"the bucket {self.bucket!r} does not exist: create it or set SEEDANCE_S3_BUCKET ({said})"
                )
            case "AccessDenied" | "403":
                return f"the bucket {self.bucket!r} cannot be used with these AWS credentials ({said})"
            case "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "401":
                # Without the server's words, which may hold parts of what was signed.
                return f"the AWS credentials are refused: check AWS_ACCESS_KEY_ID and its secret ({code})"
            case "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired":
                return f"the AWS credentials have run out: renew them ({code})"
            case _:
                return f"S3 refused a request on bucket {self.bucket!r} ({said})"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _one_line(text: str) -> str:
    return _USER_IN_URL.sub("", " ".join(text.split()))
