"""Prompt files under an s3:// location."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from seedance_dagster.net.secrets import one_line
from seedance_dagster.prompts.problems import UnreadableError, first_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_S3_ERRORS = (ClientError, BotoCoreError, Boto3Error, ValueError)  # the last for an invalid endpoint


def s3_files(
    location: str, suffixes: tuple[str, ...], max_bytes: int, client: S3Client | None
) -> Iterator[tuple[str, str, bytes | UnreadableError]]:
    """Read the objects of a location: one by its key, or all directly under a prefix.

    Yields:
        URI, suffix, and either the content or the error that reading it gave.

    Raises:
        UnreadableError: The location cannot be listed or contains no prompt set.
    """
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    single = PurePosixPath(prefix).suffix.lower() in suffixes
    folder = prefix if single or not prefix or prefix.endswith("/") else f"{prefix}/"
    try:
        client = client or boto3.Session().client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder, Delimiter="/")
        listed = [(item["Key"], item["Size"]) for page in pages for item in page.get("Contents", [])]
        files = [(key, size) for key, size in sorted(listed) if PurePosixPath(key).suffix.lower() in suffixes]
        if single:
            files = [(key, size) for key, size in files if key == prefix]
        if not files:
            raise UnreadableError(f"contains no prompt set; file names end in {', '.join(suffixes)}")
        for key, size in files:
            suffix = PurePosixPath(key).suffix.lower()
            content: bytes | UnreadableError = UnreadableError(f"is larger than {max_bytes} bytes")
            if size <= max_bytes:
                content = _content(client, bucket, key)
            yield f"s3://{bucket}/{key}", suffix, content
    except _S3_ERRORS as error:
        raise _unreadable(error) from None


def _content(client: S3Client, bucket: str, key: str) -> bytes | UnreadableError:
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except _S3_ERRORS as error:
        return _unreadable(error)


def _unreadable(error: Exception) -> UnreadableError:
    return UnreadableError(f"cannot be read from S3: {one_line(first_line(error))}")
