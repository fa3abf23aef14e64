"""Names of buckets, prefixes and endpoints as people write them, parsed or refused with a message."""

from __future__ import annotations

import re

from seedance_dagster.storage.errors import StoreError

_SLASHES_OF_A_HOST = 2  # https://host
_BUCKET_NAME = re.compile(
    r"[A-Za-z0-9._-]{1,255}|arn:[a-z-]+:s3[a-z-]*:[a-z0-9-]*:[0-9]{12}:[A-Za-z0-9.:/-]+"
)
_ADDRESS = re.compile(r"s3[an]?://|arn:[a-z-]+:s3:::", re.IGNORECASE)
# Slashes aside, the characters that S3's documentation says to avoid, and the remains of variables.
_NOT_IN_PREFIX = re.compile(r"[\x00-\x1f\x7f\\{}$^%`\[\]\"'<>~#|?*]|://|(?:^|/)\.{0,2}(?:/|$)")


def bucket_name(bucket: str) -> str:
    """Return the name of a bucket that may be written as an address, such as `s3://videos/`.

    Raises:
        StoreError: It is not a bucket's name, or contains more than that.
    """
    address = _ADDRESS.sub("", bucket.strip(), count=1)
    name, _, path = (address, "", "") if ":accesspoint/" in address else address.partition("/")
    if not address:
        return ""
    if not _BUCKET_NAME.fullmatch(name):
        raise StoreError(
            f"the bucket {bucket[:100]!r} is not a name: set SEEDANCE_S3_BUCKET to the name alone, such as "
            "videos, and AWS_ENDPOINT_URL_S3 to the address of the store, where it is not Amazon's"
        )
    if path.strip("/"):
        raise StoreError(
            f"the bucket {bucket[:100]!r} contains a path: set SEEDANCE_S3_BUCKET={name[:100]} and "
            f"SEEDANCE_S3_PREFIX={path.strip('/')[:100]}"
        )
    return name


def prefix_path(prefix: str) -> str:
    """Return the prefix of all keys without slashes around it.

    Raises:
        StoreError: Some store or link would not keep it unchanged.
    """
    path = prefix.strip().strip("/")
    wrong = _NOT_IN_PREFIX.search(path) if path else None
    if wrong:
        raise StoreError(
            f"the prefix {prefix[:100]!r} cannot be used: it contains {wrong[0]!r}; set SEEDANCE_S3_PREFIX "
            "to names with single slashes between them, such as team/videos"
        )
    return path


def check_endpoint(url: str, bucket: str) -> None:
    """Raise `StoreError` for an endpoint that ends with the bucket: each key would begin with it too."""
    if bucket and url.rstrip("/").endswith(f"/{bucket}") and url.rstrip("/").count("/") > _SLASHES_OF_A_HOST:
        raise StoreError(
            f"AWS_ENDPOINT_URL_S3 ends with the bucket {bucket!r}: leave it out there, since "
            "SEEDANCE_S3_BUCKET names it"
        )
