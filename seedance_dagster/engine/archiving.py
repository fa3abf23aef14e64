"""Archiving the journal: entries of orders that ended long ago move from the ledger into S3.

A part is noted in the ledger, written, read again and compared. Only then does one transaction delete its
entries and make the part count. A killed process may leave a part that counts for nothing; the next process
deletes it. Each part has a name of its own, so nothing is ever overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.archive import ArchivePart
from seedance_dagster.ledger.errors import LedgerError, StaleOrderError
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.net.redaction import redact
from seedance_dagster.storage.errors import NO_BUCKET, StoreError
from seedance_dagster.storage.journal_file import CONTENT_TYPE, check_pyarrow, decode, encode
from seedance_dagster.storage.keys import journal_key

ORDERS_OF_A_PART = 2000
"""The most orders in one part: one transaction deletes their entries, and other writers wait for it."""

_LEASE, _LEASE_S = "archive", 600.0
_TRIES = 3


class ArchivingError(LedgerError):
    """The journal was not archived, or not all of it; the message says why."""


def archive_journal(services: Services, before: datetime, *, owner: str) -> Iterator[ArchivePart]:
    """Archive the journals of orders that ended long ago, and yield each part once it counts.

    Args:
        before: Archive only orders whose journals have no entry since this time (UTC).
        owner: The process; unique among all.

    Raises:
        ArchivingError: Another process is archiving, or a part does not read as it was written.
        JournalFileError: pyarrow is not installed.
        StoreError: S3 refused, or the prefix belongs to another ledger.
        LedgerError: The ledger cannot be read or written.
    """
    check_possible(services)
    services.claim_prefix()
    leases = services.ledger.leases
    _take_lease(services, owner)
    try:
        for part in services.ledger.archive.unfinished():
            _discard(services, part)
        behind, tries = 0, _TRIES
        limit = ORDERS_OF_A_PART
        while entries := services.ledger.archive.next_entries(before, behind=behind, limit=limit):
            _take_lease(services, owner)
            try:
                yield _archive(services, entries, before)
            except StaleOrderError:
                # An order changed meanwhile, such as one whose video is fetched again: choose again.
                tries -= 1
                if not tries:
                    raise
                continue
            behind, tries = max(entry.order_id for entry in entries), _TRIES
    finally:
        leases.release(_LEASE, owner)


def check_possible(services: Services) -> None:
    """Raise `JournalFileError` where pyarrow is not installed, `StoreError` where no bucket is set."""
    check_pyarrow()
    if not services.store.bucket:
        raise StoreError(NO_BUCKET)


def _take_lease(services: Services, owner: str) -> None:
    leases = services.ledger.leases
    if not leases.acquire(_LEASE, owner, seconds=_LEASE_S):
        raise ArchivingError(
            f"{leases.owner_of(_LEASE)} is already archiving the journal of this ledger: wait until it has "
            f"finished; the lease of a killed process ends after {_LEASE_S / 60:.0f} minutes"
        )


def _archive(services: Services, entries: list[JournalEntry], before: datetime) -> ArchivePart:
    """Archive some journals in one part."""
    store, archive = services.store, services.ledger.archive
    body = encode(entries)
    name = f"{services.clock():%Y-%m-%d}-{uuid.uuid4().hex}"
    part = ArchivePart(
        part_id=None,
        key=journal_key(store.prefix, name),
        sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
        entries=len(entries),
        first_entry=entries[0].entry_id,
        last_entry=entries[-1].entry_id,
    )
    number = archive.begin(part)
    part = replace(part, part_id=number)
    try:
        store.replace_version(part.key, body, content_type=CONTENT_TYPE, over=None)
        written = store.read_version(part.key)
        expected = [replace(entry, detail=redact(entry.detail)) for entry in entries]
        if written is None or written.body != body or decode(written.body) != expected:
            raise ArchivingError(
                f"{store.uri(part.key)} does not read as it was written: nothing was deleted from the "
                "journal. See `seedance-dagster check-storage`"
            )
        archive.finish(number, entries, before)
    except (LedgerError, StoreError):
        with contextlib.suppress(LedgerError, StoreError):  # the next process discards it
            _discard(services, part)
        raise
    return part


def _discard(services: Services, part: ArchivePart) -> None:
    """Delete a part that does not count; if that fails, the next process tries again."""
    assert part.part_id is not None
    services.ledger.archive.discard(part.part_id)
    if services.store.delete(part.key) or services.store.head(part.key) is None:
        services.ledger.archive.forget(part.part_id)
