"""Prompt files under an s3:// location."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from seedance_dagster.prompts.documents import UnreadableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_files(
    location: str, suffixes: tuple[str, ...], max_bytes: int, client: S3Client | None
) -> Iterator[tuple[str, str, bytes | UnreadableError]]:
    """The objects of a location: one by its key, or all directly under a prefix.

    Yields:
        URI, suffix, and content or why it cannot be had.

    Raises:
        UnreadableError: The location cannot be listed or holds no prompt set.
    """
    parts = urlsplit(location)
    bucket, prefix = parts.netloc, parts.path.lstrip("/")
    single = PurePosixPath(prefix).suffix.lower() in suffixes
    folder = prefix if single or not prefix or prefix.endswith("/") else f"{prefix}/"
    try:
        client = client or boto3.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder, Delimiter="/")
        found = [(item["Key"], item["Size"]) for page in pages for item in page.get("Contents", [])]
        chosen = [(key, size) for key, size in sorted(found) if PurePosixPath(key).suffix.lower() in suffixes]
        if single:
            chosen = [(key, size) for key, size in chosen if key == prefix]
        if not chosen:
            raise UnreadableError(f"no prompt set here; files end in {', '.join(suffixes)}")
        for key, size in chosen:
            suffix = PurePosixPath(key).suffix.lower()
            content: bytes | UnreadableError = UnreadableError(f"is larger than {max_bytes} bytes")
            if size <= max_bytes:
                content = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            yield f"s3://{bucket}/{key}", suffix, content
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise UnreadableError(f"cannot be read from S3: {str(error).splitlines()[0]}") from None
