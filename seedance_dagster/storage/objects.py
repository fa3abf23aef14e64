"""Objects in S3, as a server describes and lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seedance_dagster.storage.errors import StoreError


@dataclass(frozen=True)
class ObjectInfo:
    """The properties of an object; metadata names are in lower case, as servers may change them."""

    size_bytes: int
    content_type: str
    metadata: Mapping[str, str]
    etag: str = ""


@dataclass(frozen=True)
class ListedObject:
    """An object in a listing; the ETag of an object that was uploaded in one part is its MD5 in hex."""

    size_bytes: int
    etag: str
    modified_at: datetime


def read_page(page: Mapping[str, Any]) -> Iterator[tuple[str, ListedObject]]:
    """Yield the objects of one page of a listing with their keys.

    Raises:
        StoreError: It is no listing, an object lacks its size or time, or more pages exist that cannot be
            asked for.
    """
    if not page.keys() - {"ResponseMetadata"}:  # taken for an empty bucket, all videos would seem lost
        raise StoreError("the store's listing cannot be used: it says nothing; check AWS_ENDPOINT_URL_S3")
    for item in page.get("Contents", []):
        try:
            key, size, modified = item["Key"], item["Size"], item["LastModified"]
        except KeyError as lacking:
            raise StoreError(
                f"the store's listing cannot be used: an object in it has no {lacking}"
            ) from None
        aware = modified if modified.tzinfo else modified.replace(tzinfo=UTC)
        yield key, ListedObject(size, item.get("ETag", "").strip('"'), aware)
    # boto3 would take the first page for all.
    if page.get("IsTruncated") and not page.get("NextContinuationToken"):
        raise StoreError(
            "the store's listing cannot be used: more objects follow, and it does not say how to list them; "
            "it knows ListObjects, but not ListObjectsV2"
        )
