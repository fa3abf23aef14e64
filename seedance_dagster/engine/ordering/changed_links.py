"""The check of links whose prompts have a video: the files behind them may have changed since."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from seedance_dagster.engine.ordering.preflight import DEFAULT_LIMITS, probe_links
from seedance_dagster.engine.ordering.quote import OrderingError, Quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.orders import Outcome
from seedance_dagster.ledger.references import CachedProbe, content_hashes
from seedance_dagster.media.references.facts import KnownFiles, references_of, url_hash
from seedance_dagster.prompts.files import FileReference


def look_again(services: Services, quotes: Sequence[Quote]) -> bool:
    """Probe the links of stored videos whose files are known; return True when a file was read again.

    The quotes are outdated then: other content makes another request. A link that is dead by now counts as
    unchanged.

    Raises:
        OrderingError: The ledger cannot be read or written.
    """
    stored = [quote for quote in quotes if quote.outcome is Outcome.REUSED and services.policy.preflight]
    urls = {
        reference.url
        for quote in stored
        for reference in references_of(quote.partition.request)
        if FileReference.parse(reference.url) is None
        and (reference.kind, reference.position) in content_hashes(quote.existing)
    }
    if not urls:
        return False
    try:
        cached = KnownFiles.of(services.ledger, [quote.partition.request for quote in stored])
        results = asyncio.run(probe_links(services, urls, cached, DEFAULT_LIMITS))
        probes = {url_hash(url): probe for url, probe in results.items() if isinstance(probe, CachedProbe)}
        fresh = {key: probe for key, probe in probes.items() if probe is not cached.probes.get(key)}
        if fresh:
            services.ledger.references.cache_probes(fresh)
    except LedgerError as error:
        raise OrderingError(str(error)) from None
    return bool(fresh)
