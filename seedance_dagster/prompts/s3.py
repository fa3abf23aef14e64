"""Prompt files under an s3:// location."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from seedance_dagster.net.s3_locations import S3Location
from seedance_dagster.net.secrets import one_line
from seedance_dagster.prompts.bounds import check_size
from seedance_dagster.prompts.problems import UnreadableError, first_line
from seedance_dagster.prompts.prompt_file import SUFFIXES, PromptFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# An invalid endpoint is a ValueError; boto3 follows redirects to other regions endlessly.
_S3_ERRORS = (ClientError, BotoCoreError, Boto3Error, ValueError, RecursionError)


def s3_files(location: S3Location, client: S3Client | None, below: str = "") -> dict[str, PromptFile]:
    """Return the objects directly under a prefix, by name; for the location of an object, those beside it.

    Args:
        location: The prefix or the object.
        client: boto3's default client if None.
        below: A folder below the prefix, whose objects are returned instead.

    Raises:
        UnreadableError: The location cannot be listed.
    """
    bucket, prefix = location
    if prefix.lower().endswith(SUFFIXES):
        prefix = prefix.rpartition("/")[0]
    folder = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    folder += f"{below}/" if below else ""
    try:
        client = client or boto3.Session().client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder, Delimiter="/")
        objects = [item for page in pages for item in _contents(page)]
    except _S3_ERRORS as error:
        raise _unreadable(error) from None
    files = {}
    for item in sorted(objects, key=lambda item: item["Key"]):
        key, size, etag = item["Key"], item["Size"], item.get("ETag")
        files[key.removeprefix(folder)] = PromptFile(
            f"s3://{bucket}/{key}",
            (etag, size) if etag else None,
            partial(_content, client, bucket, key, size),
        )
    return files


def _contents(page: Mapping[str, Any]) -> list[Any]:
    """Return the objects of a page; raise `UnreadableError` where boto3 would take the first for all."""
    objects = list(page.get("Contents", []))
    cut = page.get("IsTruncated") and not page.get("NextContinuationToken")
    if cut or any("Size" not in item for item in objects):
        raise UnreadableError("cannot be read from S3: the store's listing (ListObjectsV2) is incomplete")
    return objects


def _content(client: S3Client, bucket: str, key: str, size: int) -> bytes:
    check_size(size)
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except _S3_ERRORS as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> UnreadableError:
    if isinstance(error, RecursionError):
        return UnreadableError(
            "cannot be read from S3, which answers with redirects: check AWS_ENDPOINT_URL_S3 and "
            "AWS_DEFAULT_REGION"
        )
    return UnreadableError(f"cannot be read from S3: {one_line(first_line(error))}")
