"""The ledger against S3: objects that are missing, bytes that changed, manifests that are lost or altered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from seedance_dagster.audit import manifests
from seedance_dagster.audit.findings import Finding, Kind, about_order
from seedance_dagster.audit.snapshots import Seen, StorageSnapshot
from seedance_dagster.ledger.order import Order, State

_SKEW = timedelta(minutes=5)  # the store's clock and ours may be apart by this much


@dataclass(frozen=True)
class Part:
    """One of an order's objects that are no manifest.

    Attributes:
        name: "video" or "poster".
        key: Where it should be.
        size_bytes: How long it should be; None when the ledger does not say.
        sha256: Of what it should be, in hex; None when the ledger does not say.
    """

    name: str
    key: str
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Objects of which a listing does not say enough.

    Attributes:
        check: Compare what the store knows of them; hash them where it does not know their hash.
        hash: Hash their bytes.
        read: Read them whole.
    """

    check: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()

    @classmethod
    def together(cls, looks: Iterable[Verification]) -> Verification:
        """All of them as one."""
        found = list(looks)
        return cls(
            check=frozenset().union(*(look.check for look in found)),
            hash=frozenset().union(*(look.hash for look in found)),
            read=frozenset().union(*(look.read for look in found)),
        )


def parts_of(order: Order) -> tuple[Part, ...]:
    """Video and poster of a stored order."""
    return (
        Part("video", str(order.video_key), order.size_bytes, order.sha256),
        Part("poster", str(order.poster_key), order.poster_size_bytes, order.poster_sha256),
    )


def needs_verification(order: Order, book: StorageSnapshot, *, deep: bool) -> Verification:
    """What of an order must be looked at closer than the listing does.

    Args:
        order: An audited order.
        book: With the listing.
        deep: Hash everything and read every manifest.
    """
    if order.state is not State.STORED or order.manifest_key is None:
        return Verification()
    check, hashed = set(), set()
    for part in parts_of(order):
        there = book.objects.get(part.key)
        if there is None:
            check.add(part.key)
        elif deep or part.size_bytes not in (None, there.size_bytes):
            hashed.add(part.key)
        elif order.stored_at is not None and there.modified_at > order.stored_at + _SKEW:
            # An object is never changed, only written anew, and that shows in its time.
            check.add(part.key)
    listed = book.objects.get(order.manifest_key)
    shown = not deep and listed is not None and manifests.is_as_listed(order, listed)
    return Verification(
        check=frozenset(check), hash=frozenset(hashed), read=frozenset([] if shown else [order.manifest_key])
    )


def compare(order: Order, book: StorageSnapshot) -> Iterator[Finding]:
    """What is wrong with an order's objects.

    Args:
        order: An audited order.
        book: With a closer look at all that was unclear.
    """
    if order.state is not State.STORED:
        return
    if order.manifest_key is None:
        what = "the ledger does not say where its objects are"
        yield about_order(Kind.MISSING_IN_S3, order, where=f"order {order.order_id}", what=what)
        return
    yield from _missing(order, order.manifest_key, book)
    changed = [part for part in parts_of(order) if _is_changed(part, book)]
    if changed:
        told = " and ".join(_change(part, book) for part in changed)
        yield about_order(Kind.BYTES_CHANGED, order, where=book.uri(changed[0].key), what=told)
    yield from manifests.compare(order, order.manifest_key, book)


def _missing(order: Order, manifest_key: str, book: StorageSnapshot) -> Iterator[Finding]:
    gone = {part.name: part.key for part in parts_of(order) if _is_missing(part.key, book)}
    kind = Kind.MISSING_IN_S3 if gone else Kind.MANIFEST_LOST
    if _is_missing(manifest_key, book):
        gone["manifest"] = manifest_key
    if gone:
        what = f"its {' and '.join(gone)} {'are' if len(gone) > 1 else 'is'} not there"
        yield about_order(kind, order, where=book.uri(next(iter(gone.values()))), what=what)


def _is_missing(key: str, book: StorageSnapshot) -> bool:
    # What was not listed was looked at by itself: it may have come since.
    return book.seen.get(key) is None if key in book.seen else key not in book.objects


def _seen(part: Part, book: StorageSnapshot) -> Seen:
    return book.seen.get(part.key) or Seen()


def _is_changed(part: Part, book: StorageSnapshot) -> bool:
    if _is_missing(part.key, book):
        return False
    found = _seen(part, book).sha256
    if found is not None and part.sha256 is not None:
        return found != part.sha256
    there = book.objects.get(part.key)
    return there is not None and part.size_bytes not in (None, there.size_bytes)


def _change(part: Part, book: StorageSnapshot) -> str:
    there = book.objects.get(part.key)
    if there is not None and part.size_bytes not in (None, there.size_bytes):
        return f"the {part.name} has {there.size_bytes} bytes, not {part.size_bytes}"
    return (
        f"the {part.name} hashes to {str(_seen(part, book).sha256)[:12]}..., not {str(part.sha256)[:12]}..."
    )
