"""Objects in S3, as a server describes and lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


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
