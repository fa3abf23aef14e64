"""The ledger against S3: missing objects, changed bytes, lost or altered manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from seedance_dagster.audit.evidence import CORE
from seedance_dagster.audit.findings import POSTER_ADVICE, Finding, Kind, order_finding
from seedance_dagster.audit.snapshots import InspectedObject, StorageSnapshot
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.storage.manifest import Manifest
from seedance_dagster.storage.objects import ListedObject

_CLOCK_SKEW = timedelta(minutes=5)  # between the store's clock and ours


@dataclass(frozen=True)
class MediaObject:
    """A video or poster as the ledger knows it; size and hash are None when it does not.

    Attributes:
        name: "video" or "poster".
        sha256: In hex.
    """

    name: str
    key: str
    size_bytes: int | None
    sha256: str | None

    @property
    def facts(self) -> tuple[str, str]:
        """The facts that describe its bytes."""
        prefix = "" if self.name == "video" else f"{self.name}_"
        return f"{prefix}sha256", f"{prefix}size_bytes"


class Verification(StrEnum):
    """A way to verify an object that a listing says too little about."""

    CHECK = "check"
    """Compare the hash in its metadata; if it has none, hash it."""
    HASH = "hash"
    """Hash its bytes."""
    READ = "read"
    """Read it whole."""


def media_of(order: Order) -> tuple[MediaObject, MediaObject]:
    """Return video and poster of a stored order."""
    return (
        MediaObject("video", order.video_key or "", order.size_bytes, order.sha256),
        MediaObject("poster", order.poster_key or "", order.poster_size_bytes, order.poster_sha256),
    )


def expected_manifest(order: Order) -> bytes | None:
    """Return an order's manifest as it should be; None when the ledger's row is too damaged to give one."""
    try:
        return Manifest.of(order).to_json()
    except (ValueError, KeyError, TypeError):  # includes pydantic's errors
        return None


def manifest_key(order: Order, storage: StorageSnapshot) -> str:
    """Return the key of an order's manifest; where the row names none that exists, the one it should have."""
    named = order.manifest_key
    if named in storage.objects:
        return str(named)
    keys = object_keys(storage.prefix, order.prompt_set, order.partition, order.fingerprint, order.attempt)
    return keys.manifest if named is None or keys.manifest in storage.objects else named


def objects_to_verify(order: Order, storage: StorageSnapshot, *, deep: bool) -> dict[str, Verification]:
    """Return the objects of an order that must be verified, by key.

    Args:
        deep: Hash everything and read every manifest.
    """
    if order.state is not State.STORED:
        return {}
    to_verify = {}
    for media in media_of(order):
        listed = storage.objects.get(media.key)
        if not media.key:
            continue
        if listed is None:
            to_verify[media.key] = Verification.CHECK
        elif deep or media.size_bytes not in (None, listed.size_bytes):
            to_verify[media.key] = Verification.HASH
        elif order.stored_at is not None and listed.modified_at > order.stored_at + _CLOCK_SKEW:
            # An object is never edited, only written again, and then its time is newer.
            to_verify[media.key] = Verification.CHECK
    key = manifest_key(order, storage)
    manifest = storage.objects.get(key)
    if deep or manifest is None or not _matches_listing(order, manifest):
        to_verify[key] = Verification.READ
    return to_verify


def compare(order: Order, storage: StorageSnapshot) -> Iterator[Finding]:
    """Yield the findings about an order's objects; `objects_to_verify` must have been verified."""
    if order.state is not State.STORED:
        return
    if order.manifest_key is None:
        yield order_finding(
            Kind.MISSING_IN_S3,
            order,
            location=f"order {order.order_id}",
            message="the ledger does not say where its objects are",
            facts=("state", "video_key", "manifest_key"),
        )
        return
    yield from _missing(order, order.manifest_key, storage)
    changes = {
        media.key: change for media in media_of(order) if (change := _change(media, storage)) is not None
    }
    if changes:
        location, message = storage.uri(next(iter(changes))), " and ".join(changes.values())
        facts = [name for media in media_of(order) if media.key in changes for name in media.facts]
        yield _media_finding(Kind.BYTES_CHANGED, order, location=location, message=message, facts=facts)
    yield from _compare_manifest(order, order.manifest_key, storage)


def _matches_listing(order: Order, listed: ListedObject) -> bool:
    """Return True when size and MD5 in a listing show that a manifest is as it should be.

    With some encryptions an ETag is not an MD5; then it shows nothing.
    """
    expected = expected_manifest(order)
    if expected is None or listed.size_bytes != len(expected):
        return False
    return listed.etag == hashlib.md5(expected, usedforsecurity=False).hexdigest()


def _missing(order: Order, manifest_key: str, storage: StorageSnapshot) -> Iterator[Finding]:
    missing = {
        media.name: media.key for media in media_of(order) if media.key and _is_missing(media.key, storage)
    }
    kind = Kind.MISSING_IN_S3 if missing else Kind.MANIFEST_LOST
    if _is_missing(manifest_key, storage):
        missing["manifest"] = manifest_key
    if missing:
        message = f"its {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not in S3"
        location = storage.uri(next(iter(missing.values())))
        facts = [name for media in media_of(order) if media.name in missing for name in media.facts]
        yield _media_finding(
            kind, order, location=location, message=message, facts=("state", *(facts or CORE))
        )


def _media_finding(kind: Kind, order: Order, *, location: str, message: str, facts: Sequence[str]) -> Finding:
    """Return a finding about objects of an order, with its own advice where the video itself is sound."""
    advice = None if "sha256" in facts else POSTER_ADVICE.get(kind)
    return order_finding(kind, order, location=location, message=message, facts=facts, advice=advice)


def _is_missing(key: str, storage: StorageSnapshot) -> bool:
    # An object that was not listed was inspected: it may have arrived since.
    return storage.inspected.get(key) is None if key in storage.inspected else key not in storage.objects


def _change(media: MediaObject, storage: StorageSnapshot) -> str | None:
    """Return how an object differs from the stored one; None where it does not, or is missing."""
    if not media.key or _is_missing(media.key, storage):
        return None
    sha256 = (storage.inspected.get(media.key) or InspectedObject()).sha256
    if sha256 is not None and media.sha256 is not None and sha256 == media.sha256:
        return None
    listed = storage.objects.get(media.key)
    if listed is not None and media.size_bytes not in (None, listed.size_bytes):
        return f"the {media.name} has {listed.size_bytes} bytes, not {media.size_bytes}"
    if sha256 is None or media.sha256 is None:
        return None
    return f"the {media.name} hashes to {sha256[:12]}..., not {media.sha256[:12]}..."


def _compare_manifest(order: Order, key: str, storage: StorageSnapshot) -> Iterator[Finding]:
    manifest = storage.inspected.get(key)
    if manifest is None or manifest.body is None:
        return
    expected = expected_manifest(order)
    if manifest.body != expected:
        message, facts = _manifest_difference(manifest.body, expected)
        location = storage.uri(key)
        yield order_finding(
            Kind.MANIFEST_ALTERED, order, location=location, message=message, facts=facts or CORE
        )


def _manifest_difference(body: bytes, expected: bytes | None) -> tuple[str, list[str]]:
    """Return the difference of a manifest in words, and the facts that differ."""
    if expected is None:
        return "the ledger's row is too damaged to give a manifest", []
    try:
        stored = json.loads(body)
    except ValueError:
        return "it is not valid JSON", []
    if not isinstance(stored, dict):
        return "it is not a JSON object", []
    wanted = json.loads(expected)
    names = [name for name in {**wanted, **stored} if stored.get(name, ...) != wanted.get(name, ...)]
    if not names:
        return "its bytes are not as written", []
    facts = [name for name in names if name != "request"]
    if "request" in names:
        facts += _different_fields(stored.get("request"), wanted["request"])
    return f"it differs from the ledger in {', '.join(names)}", facts


def _different_fields(stored: object, wanted: dict[str, Any]) -> list[str]:
    """Return the fields of a request that differ."""
    if not isinstance(stored, dict) or not isinstance(stored.get("input"), dict):
        return ["prompt"]
    flat = [{**request["input"], "task_type": request.get("task_type")} for request in (stored, wanted)]
    return [name for name in {**flat[0], **flat[1]} if flat[0].get(name, ...) != flat[1].get(name, ...)]
