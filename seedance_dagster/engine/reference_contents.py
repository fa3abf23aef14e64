"""The content of references in S3: read by runs that order, and remembered in the ledger for everything else.

Loading prompt files sends nothing, so until a run has read an object, its address stands for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from seedance_dagster.api.wire import REFERENCE_KINDS, GenerationRequest
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.references import CachedProbe
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.references import s3_references
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.reference_objects import ReadObject, read_object

_AT_ONCE = 8


def with_known_contents(ledger: Ledger, prompt_set: PromptSet) -> PromptSet:
    """Return a set whose references in S3 have the hashes that runs saw last; raise `LedgerError`."""
    addresses = _addresses(prompt_set)
    return _with_hashes(prompt_set, _known(ledger, addresses)) if addresses else prompt_set


def read_contents(services: Services, prompt_set: PromptSet, keys: Collection[str]) -> PromptSet:
    """Return a set as `with_known_contents`, after reading the objects of some partitions that changed.

    An object that cannot be read keeps its known hash; the preflight decides whether it may be ordered.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    addresses = _addresses(prompt_set)
    if not addresses:
        return prompt_set
    known = _known(services.ledger, addresses)
    every = prompt_set.all_partitions
    wanted = [every[key].request for key in keys if key in every]
    now = {file.location for request in wanted for file in s3_references(request)}
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        read = threads.map(lambda address: _read(services, address, known.get(address)), now)
        fresh = {address: probe for address, probe in zip(now, read, strict=True) if probe is not None}
    if fresh:
        services.ledger.references.cache_probes(
            {_cache_key(address): probe for address, probe in fresh.items()}
        )
    return _with_hashes(prompt_set, {**known, **fresh})


def object_of(services: Services, reference: FileReference, *, etag: str | None = None) -> ReadObject | None:
    """Read an object that a prompt refers to; return None if it still has `etag`. Raise `StoreError`."""
    limit = services.limits.max_upload_bytes
    return read_object(services.store.client, reference, etag=etag, max_bytes=limit)


def _read(services: Services, address: str, known: CachedProbe | None) -> CachedProbe | None:
    """Return the present content of an object; None where it did not change or cannot be read."""
    etag = None if known is None else known.validator
    try:
        stored = object_of(services, FileReference(address), etag=etag)
    except StoreError:
        return None
    if stored is None:
        return None
    facts = {"sha256": hashlib.sha256(stored.content).hexdigest()}
    return CachedProbe(facts, stored.etag, services.clock())


def _addresses(prompt_set: PromptSet) -> set[str]:
    return {file.location for prompt in prompt_set.prompts for file in s3_references(prompt.request)}


def _known(ledger: Ledger, addresses: Collection[str]) -> dict[str, CachedProbe]:
    keys = {_cache_key(address): address for address in addresses}
    return {keys[key]: probe for key, probe in ledger.references.cached_probes(keys).items()}


def _cache_key(address: str) -> str:
    """Return the ledger's key for the content of an object; it differs from the keys for probes of links."""
    return hashlib.sha256(f"content of {address}".encode()).hexdigest()


def _with_hashes(prompt_set: PromptSet, known: Mapping[str, CachedProbe]) -> PromptSet:
    def hashed(url: str) -> str:
        file = FileReference.parse(url)
        if file is None or file.location not in known:
            return url
        return str(replace(file, sha256=known[file.location].facts["sha256"]))

    def hashed_request(request: GenerationRequest) -> GenerationRequest:
        lists = {
            f"{kind}_urls": tuple(map(hashed, getattr(request, f"{kind}_urls"))) for kind in REFERENCE_KINDS
        }
        return request.model_copy(update=lists)

    prompts = (
        replace(
            prompt,
            request=hashed_request(prompt.request),
            final=None if prompt.final is None else hashed_request(prompt.final),
        )
        for prompt in prompt_set.prompts
    )
    return replace(prompt_set, prompts=tuple(prompts))
