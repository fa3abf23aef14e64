"""Locations as people write them: a path, or a valid address in S3."""

from __future__ import annotations

import re
from typing import NamedTuple

from seedance_dagster.net.secrets import SafeError

_S3 = "s3://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|arn:")  # a drive of Windows has one letter
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")


class LocationError(SafeError, ValueError):
    """An invalid location; the message continues it: "names no bucket; write ..."."""


class S3Location(NamedTuple):
    """A bucket, and a key or a prefix of keys, which may be empty."""

    bucket: str
    key: str


def s3_location(location: str, *, example: str = "s3://bucket/folder") -> S3Location | None:
    """Return the bucket and the key of an s3:// address; None for a path.

    Args:
        example: An address that is allowed here.

    Raises:
        LocationError: It is an address of another kind, or its bucket is invalid.

    Example:
        >>> s3_location("s3://assets/prompts/")
        S3Location(bucket='assets', key='prompts/')
    """
    if not location.startswith(_S3):
        if scheme := _SCHEME.match(location):
            raise LocationError(
                f"begins with {scheme[0]!r}; allowed are a path, and an address such as {example}"
            )
        return None
    bucket, _, key = location.removeprefix(_S3).partition("/")
    if not bucket:
        raise LocationError(f"names no bucket; write {example}")
    if not _BUCKET.fullmatch(bucket):
        raise LocationError(
            f"names the bucket {bucket[:100]!r}; allowed are letters, digits, dots, hyphens and underscores: "
            f"write {example}"
        )
    return S3Location(bucket, key)
