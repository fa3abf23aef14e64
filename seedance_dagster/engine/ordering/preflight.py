"""Preflight: reference files are probed before anything is ordered.

Files that the vendor would drop silently, or bill in full, are found before money moves, and the length of
input videos, which is billed, becomes known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from seedance_dagster.api.limits import Limits
from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.engine.ordering import own_files
from seedance_dagster.engine.ordering.quote import OrderingError, Quote, requote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.references import CachedProbe
from seedance_dagster.media.references.facts import FileFacts, KnownFiles, references_of, url_hash
from seedance_dagster.media.references.file_types import FileType
from seedance_dagster.media.references.host import ProbeLimits, ReferenceHost, UnusableReferenceError
from seedance_dagster.media.references.prober import Prober
from seedance_dagster.net.hosts import open_session
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.prompts.models import PromptPartition

_READ_AHEAD_BYTES = 64 * 1024
DEFAULT_LIMITS = ProbeLimits()


@dataclass(frozen=True)
class Preflight:
    """The result of probing references.

    Attributes:
        quotes: All quotes, exact now where the length of input videos was learned.
        invalid: Why the references of a prompt cannot be sent, by partition key.
    """

    quotes: tuple[Quote, ...]
    invalid: Mapping[str, str] = field(default_factory=dict)

    @property
    def valid(self) -> list[Quote]:
        """The quotes that may be ordered."""
        return [quote for quote in self.quotes if quote.partition.key not in self.invalid]


def preflight(
    services: Services, quotes: Sequence[Quote], *, limits: ProbeLimits = DEFAULT_LIMITS
) -> Preflight:
    """Probe the references of every quote that no earlier order answers.

    Args:
        services: With `policy.preflight` off no link is probed.
        quotes: Quotes of one prompt set.
        limits: Bounds for probing one reference.

    Raises:
        OrderingError: A price is unknown or the ledger cannot be read or written.
    """
    new = {quote.partition.key: quote.partition for quote in quotes if quote.existing is None}
    requests = {key: partition.request for key, partition in new.items()}
    links, files = _references(services, new.values())
    if not links and not files:
        return Preflight(tuple(quotes))
    try:
        cached = KnownFiles.of(services.ledger, requests.values())
        results = own_files.examine(services, files, cached)
        results |= asyncio.run(probe_links(services, links, cached, limits)) if links else {}
        probes = {url_hash(url): result for url, result in results.items() if isinstance(result, CachedProbe)}
        fresh = {key: probe for key, probe in probes.items() if probe is not cached.probes.get(key)}
        if fresh:
            services.ledger.references.cache_probes(fresh)
        unusable = {url: result for url, result in results.items() if isinstance(result, str)}
        invalid = _invalid(requests, KnownFiles(probes), unusable, services.limits)
        valid = (request for key, request in requests.items() if key not in invalid)
        sent = {reference.url for request in valid for reference in references_of(request)}
        refused = own_files.upload(services, sent & files.keys())
        invalid |= _invalid(requests, KnownFiles(probes), refused, services.limits) if refused else {}
    except LedgerError as error:
        raise OrderingError(str(error)) from None
    known = KnownFiles({**cached.probes, **fresh})
    return Preflight(
        tuple(requote(services, quote, known) if _refers_to(quote, fresh) else quote for quote in quotes),
        invalid,
    )


def _references(
    services: Services, partitions: Iterable[PromptPartition]
) -> tuple[set[str], dict[str, Path | None]]:
    """Return the links that are to be probed, and the team's own files with the folder of their paths."""
    links, files = set[str](), dict[str, Path | None]()
    for partition in partitions:
        for reference in references_of(partition.request):
            if FileReference.parse(reference.url) is not None:
                files[reference.url] = partition.folder
            elif services.policy.preflight:
                links.add(reference.url)
    return links, files


def _invalid(
    requests: Mapping[str, GenerationRequest], known: KnownFiles, unusable: Mapping[str, str], limits: Limits
) -> dict[str, str]:
    problems = {
        key: "; ".join(_problems(request, known, unusable, limits)) for key, request in requests.items()
    }
    return {key: problem for key, problem in problems.items() if problem}


def _refers_to(quote: Quote, probes: Collection[str]) -> bool:
    return quote.existing is None and any(
        url_hash(reference.url) in probes for reference in references_of(quote.partition.request)
    )


async def probe_links(
    services: Services, urls: Collection[str], cached: KnownFiles, limits: ProbeLimits
) -> dict[str, CachedProbe | str]:
    """Return a probe of each URL, or the reason why it cannot be used."""
    allow_private = services.policy.allow_private_hosts
    timeout = aiohttp.ClientTimeout(total=None, connect=limits.idle_s, sock_read=limits.idle_s)
    results: dict[str, CachedProbe | str] = {}

    async def probe(url: str) -> None:
        try:
            results[url] = await prober.probe(url, cached.probes.get(url_hash(url)))
        except UnusableReferenceError as error:
            results[url] = str(error)

    async with open_session(
        timeout=timeout, read_bytes=_READ_AHEAD_BYTES, allow_private=allow_private
    ) as session:
        host = ReferenceHost(session, limits, allow_private=allow_private)
        prober = Prober(host, limits, services.clock)
        async with asyncio.TaskGroup() as group:
            for url in urls:
                group.create_task(probe(url))
    return results


def _problems(
    request: GenerationRequest, known: KnownFiles, unusable: Mapping[str, str], limits: Limits
) -> list[str]:
    """Return the problems with the references of one request, each with its field and number."""
    problems = []
    for reference in references_of(request):
        facts, problem = known.facts(reference.url), unusable.get(reference.url)
        if problem is None and facts is not None:
            problem = _problem(facts, reference.kind, limits)
        if problem is not None:
            problems.append(f"{reference} {problem}")
    seconds = known.input_video_s(request)
    if seconds is not None and seconds > limits.max_input_video_s:
        problems.append(f"video_urls last {seconds} s in all; at most {limits.max_input_video_s} s")
    return problems


def _problem(facts: FileFacts, kind: str, limits: Limits) -> str | None:
    allowed: tuple[str, ...] = getattr(limits, f"{kind}_formats")
    file_type = FileType.of(facts.media_type)
    if file_type.extension not in allowed:
        return f"is {file_type.words}; allowed: {', '.join(allowed)}"
    if kind == "audio" and facts.duration_s is not None and facts.duration_s > limits.max_audio_s:
        return (
            f"lasts {facts.duration_s} s; at most {limits.max_audio_s} s "
            "(the vendor drops longer audio silently)"
        )
    return None
