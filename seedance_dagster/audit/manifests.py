"""Manifests against the ledger, whose row alone they are made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from seedance_dagster.audit.findings import Finding, Kind, about_order
from seedance_dagster.audit.snapshots import StorageSnapshot
from seedance_dagster.ledger.order import Order
from seedance_dagster.storage.manifest import Manifest
from seedance_dagster.storage.s3 import ListedObject


def expected_manifest(order: Order) -> bytes | None:
    """What an order's manifest should be; None when the ledger's row is too broken to tell."""
    try:
        return Manifest.of(order).to_json()
    except (ValueError, KeyError, TypeError):  # pydantic's own errors among them
        return None


def is_as_listed(order: Order, listed: ListedObject) -> bool:
    """True when size and MD5 in a listing show that a manifest is as it should be.

    An ETag that is no MD5, as with some encryptions, shows nothing.
    """
    wanted = expected_manifest(order)
    if wanted is None or listed.size_bytes != len(wanted):
        return False
    return listed.etag == hashlib.md5(wanted, usedforsecurity=False).hexdigest()


def compare(order: Order, key: str, book: StorageSnapshot) -> Iterator[Finding]:
    """What is wrong with a manifest that is there.

    Args:
        order: A stored order.
        key: Of its manifest.
        book: With the manifest, where the listing did not show that it is right.
    """
    seen = book.seen.get(key)
    if seen is None or seen.body is None:
        return
    wanted = expected_manifest(order)
    if seen.body != wanted:
        what = _difference(seen.body, wanted)
        yield about_order(Kind.MANIFEST_ALTERED, order, where=book.uri(key), what=what)


def _difference(found: bytes, wanted: bytes | None) -> str:
    if wanted is None:
        return "the ledger's row is too broken to make a manifest of"
    try:
        told = json.loads(found)
    except ValueError:
        return "it is no JSON"
    if not isinstance(told, dict):
        return "it is no JSON object"
    should = json.loads(wanted)
    names = [name for name in {**should, **told} if told.get(name, ...) != should.get(name, ...)]
    return f"it differs from the ledger in {', '.join(names)}" if names else "its bytes are not as written"
