"""Preflight of the team's own files: examined like files at links, copied beside the videos, and uploaded.

The copy is what is sent, so editing, moving or deleting a file after it was ordered changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from seedance_dagster.api.errors import AddressError, AuthenticationError, SeedanceError, UploadRefusedError
from seedance_dagster.engine.file_links import FileLinks
from seedance_dagster.engine.ordering.quote import OrderingError
from seedance_dagster.engine.reference_contents import object_of
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.references import CachedProbe
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.references.facts import KnownFiles, url_hash
from seedance_dagster.media.references.file_types import FileType
from seedance_dagster.media.references.local import facts_of
from seedance_dagster.prompts.files import FileReference, read_file
from seedance_dagster.prompts.problems import UnreadableError
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.keys import reference_key

_AT_ONCE = 4
_CHANGED = "was changed just now: launch the run again"


def examine(
    services: Services, files: Mapping[str, Path | None], cached: KnownFiles
) -> dict[str, CachedProbe | str]:
    """Return the facts about each file, or the reason why it cannot be used; copy the files that can.

    Args:
        files: The folder that paths start from, by reference.
        cached: Known facts, by content.

    Raises:
        OrderingError: The store or the ledger's prefix in it cannot be used.
        LedgerError: The ledger cannot be read.
    """
    if not files:
        return {}
    try:
        services.store.check_writable()
        services.claim_prefix()
    except StoreError as error:
        raise OrderingError(f"nothing was ordered: {error}") from None

    def examine_file(url: str) -> CachedProbe | str:
        try:
            return _examine(services, url, files[url], cached.probes.get(url_hash(url)))
        except (UnreadableError, StoreError, MediaError) as error:
            return str(error)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return dict(zip(files, threads.map(examine_file, files), strict=True))


def upload(services: Services, urls: Collection[str]) -> dict[str, str]:
    """Upload files that are not at the vendor's file service yet; return the refusals, by reference.

    Other trouble is left to the worker that sends the order, which tries again.

    Raises:
        OrderingError: The key or the address is wrong; nothing may be ordered.
        LedgerError: The ledger cannot be read or written.
    """
    if not urls or services.policy.presign_references:
        return {}
    try:
        return asyncio.run(_upload(services, urls))
    except (AuthenticationError, AddressError) as error:
        raise OrderingError(f"nothing was ordered: {error}") from None


async def _upload(services: Services, urls: Collection[str]) -> dict[str, str]:
    refused: dict[str, str] = {}
    slots = asyncio.Semaphore(_AT_ONCE)

    async def upload_file(url: str, links: FileLinks) -> None:
        file = FileReference.parse(url)
        assert file is not None
        async with slots:
            try:
                await links.link(file)
            except (UploadRefusedError, StoreError) as error:
                refused[url] = f"cannot be handed over: {error}"
            except (AuthenticationError, AddressError):
                raise
            except SeedanceError:
                return

    async with services.open_client() as client:
        links = FileLinks(services, client)
        results = await asyncio.gather(*(upload_file(url, links) for url in urls), return_exceptions=True)
    for error in filter(None, results):
        raise error
    return refused


def _examine(services: Services, url: str, folder: Path | None, known: CachedProbe | None) -> CachedProbe:
    file = FileReference.parse(url)
    assert file is not None
    content = _content(services, file, folder)
    probe = known or CachedProbe(asdict(facts_of(content)), None, services.clock())
    if FileType.of(probe.facts["media_type"]).extension:
        key = reference_key(services.store.prefix, str(file.sha256), file.suffix)
        services.store.put_if_absent(key, content, content_type=probe.facts["media_type"])
    return probe


def _content(services: Services, file: FileReference, folder: Path | None) -> bytes:
    if not file.in_s3:
        return read_file(folder, file, max_bytes=services.limits.max_upload_bytes)
    stored = object_of(services, file)
    if stored is None or hashlib.sha256(stored.content).hexdigest() != file.sha256:
        raise StoreError(_CHANGED)
    return stored.content
