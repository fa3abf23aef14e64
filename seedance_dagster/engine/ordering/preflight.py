"""Looking at references before an order is accepted.

What the vendor would silently drop or bill in full is refused before money moves, and the length of
input videos, which is billed, is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from seedance_dagster.api.limits import Limits
from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.engine.events import Outcome
from seedance_dagster.engine.ordering.place import OrderingError, OrderOptions, quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.references import CachedProbe
from seedance_dagster.media.references.facts import FileFacts, KnownFiles, references_of, url_hash
from seedance_dagster.media.references.file_types import FileType
from seedance_dagster.media.references.host import ProbeLimits, ReferenceHost, UnusableReferenceError
from seedance_dagster.media.references.prober import Prober
from seedance_dagster.net.hosts import open_session
from seedance_dagster.prompts.models import PromptPartition

_READ_AHEAD_BYTES = 64 * 1024
_DEFAULT_LIMITS = ProbeLimits()


@dataclass(frozen=True)
class Preflight:
    """What looking at references came to.

    Attributes:
        sound: The partitions that may be ordered, in the order in which they were wanted. What is
            now known of their references stands in the ledger, where quoting and accepting find it.
        refused: Why the others may not, by partition key.
    """

    valid: tuple[PromptPartition, ...]
    refused: dict[str, str] = field(default_factory=dict)


def preflight(
    services: Services,
    wanted: Sequence[PromptPartition],
    *,
    prompt_set: str,
    options: OrderOptions | None = None,
    idempotency_key: str = "",
    limits: ProbeLimits = _DEFAULT_LIMITS,
) -> Preflight:
    """Look at the references of every wanted video that accepting would order anew.

    Args:
        services: The engine's surroundings; with `policy.preflight` off nothing is looked at.
        wanted: Validated partitions of one prompt set.
        prompt_set: The set's name.
        options: What the run's config asks for.
        idempotency_key: What asks, as for `accept`.
        limits: Bounds of looking at one reference.

    Raises:
        OrderingError: A price is unknown or the ledger cannot be read or written.
    """
    if not services.policy.preflight:
        return Preflight(tuple(wanted))
    quotes = quote(services, wanted, prompt_set=prompt_set, options=options, idempotency_key=idempotency_key)
    new = {each.partition.key: each.partition.request for each in quotes if each.outcome is Outcome.ORDERED}
    try:
        before = KnownFiles.of(services.ledger, new.values())
        urls = {each.url for request in new.values() for each in references_of(request)}
        looked = asyncio.run(_look_at_all(services, urls, before, limits)) if urls else {}
        seen = {url_hash(url): found for url, found in looked.items() if isinstance(found, CachedProbe)}
        fresh = {name: found for name, found in seen.items() if found is not before.probes.get(name)}
        if fresh:
            services.ledger.references.cache_probes(fresh)
    except LedgerError as error:
        raise OrderingError(str(error)) from None
    unusable = {url: found for url, found in looked.items() if isinstance(found, str)}
    now = KnownFiles(seen)
    problems = {key: _problems(request, now, unusable, services.limits) for key, request in new.items()}
    refused = {key: "; ".join(found) for key, found in problems.items() if found}
    return Preflight(tuple(each for each in wanted if each.key not in refused), refused)


async def _look_at_all(
    services: Services, urls: Collection[str], before: KnownFiles, limits: ProbeLimits
) -> dict[str, CachedProbe | str]:
    """What is known of each URL now, or in words why it cannot be used."""
    allow_private = services.policy.allow_private_hosts
    timeout = aiohttp.ClientTimeout(total=None, connect=limits.idle_s, sock_read=limits.idle_s)
    found: dict[str, CachedProbe | str] = {}

    async def probe(url: str) -> None:
        try:
            found[url] = await prober.probe(url, before.probes.get(url_hash(url)))
        except UnusableReferenceError as error:
            found[url] = str(error)

    async with open_session(
        timeout=timeout, read_bytes=_READ_AHEAD_BYTES, allow_private=allow_private
    ) as session:
        host = ReferenceHost(session, limits, allow_private=allow_private)
        prober = Prober(host, limits, services.clock)
        async with asyncio.TaskGroup() as group:
            for url in urls:
                group.create_task(probe(url))
    return found


def _problems(
    request: GenerationRequest, known: KnownFiles, unusable: Mapping[str, str], limits: Limits
) -> list[str]:
    """What is wrong with the references of one request, each with its field and number."""
    problems = []
    for reference in references_of(request):
        facts = known.facts(reference.url)
        problem = unusable.get(reference.url) if facts is None else _problem(facts, reference.kind, limits)
        if problem is not None:
            problems.append(f"{reference} {problem}")
    seconds = known.input_video_s(request)
    if seconds is not None and seconds > limits.max_input_video_s:
        problems.append(f"video_urls last {seconds} s in all; at most {limits.max_input_video_s} s")
    return problems


def _problem(facts: FileFacts, kind: str, limits: Limits) -> str | None:
    allowed: tuple[str, ...] = getattr(limits, f"{kind}_formats")
    found = FileType.of(facts.media_type)
    if found.extension not in allowed:
        return f"is {found.words}; allowed: {', '.join(allowed)}"
    if kind == "audio" and facts.duration_s is not None and facts.duration_s > limits.max_audio_s:
        return (
            f"lasts {facts.duration_s} s; at most {limits.max_audio_s} s "
            "(the vendor drops longer audio silently)"
        )
    return None
