"""Facts about reference files, as the ledger remembers them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.references import CachedProbe
from seedance_dagster.net.redaction import strip_query
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.prompts.problems import shown


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """The properties of one reference file.

    Attributes:
        media_type: By its first bytes, such as "video/mp4".
        size_bytes: Of the whole file.
        sha256: In hex; None when the file was too large to be read whole.
        duration_s: Seconds of a video or audio, to the millisecond; None for other files.
    """

    media_type: str
    size_bytes: int
    sha256: str | None
    duration_s: float | None


@dataclass(frozen=True)
class Reference:
    """One reference of a request.

    Attributes:
        kind: "image", "video" or "audio".
        position: From 1 among those of its kind, as the prompt counts them.
        url: The whole URL, which may be signed.
    """

    kind: str
    position: int
    url: str

    def __str__(self) -> str:
        file = FileReference.parse(self.url)
        name = "" if file is None else f" ({shown(file.location)})"  # a link may be signed
        return f"{self.kind}_urls number {self.position}{name}"


@dataclass(frozen=True)
class KnownFiles:
    """The probes of some files, by the sha256 of their URL."""

    probes: Mapping[str, CachedProbe]

    @classmethod
    def of(cls, ledger: Ledger, requests: Collection[GenerationRequest], *, links: bool = True) -> KnownFiles:
        """Read the ledger's probes of the references of some requests; raise `LedgerError`.

        Args:
            ledger: The ledger.
            requests: The requests.
            links: False leaves out files at links.
        """
        urls = {reference.url for request in requests for reference in references_of(request)}
        urls = {url for url in urls if links or FileReference.parse(url) is not None}
        return cls(ledger.references.cached_probes({url_hash(url) for url in urls}) if urls else {})

    def facts(self, url: str) -> FileFacts | None:
        """Return the facts about one file, None when it was never probed."""
        probe = self.probes.get(url_hash(url))
        return None if probe is None else FileFacts(**probe.facts)

    def reference_facts(self, request: GenerationRequest) -> list[dict[str, Any]] | None:
        """Return the facts that an order records about its references, as JSON; None when nothing is known.

        URLs come without their query, which may hold a signature.
        """
        entries = [
            {"kind": reference.kind, "position": reference.position, "url": strip_query(reference.url)}
            | probe.facts
            | {"checked_at": probe.checked_at.isoformat()}
            for reference in references_of(request)
            if (probe := self.probes.get(url_hash(reference.url))) is not None
        ]
        return entries or None

    def input_video_s(self, request: GenerationRequest) -> float | None:
        """Return the seconds of all input videos of a request; None unless all of them are known."""
        lengths = [facts.duration_s if (facts := self.facts(url)) else None for url in request.video_urls]
        known = [length for length in lengths if length is not None]
        return round(sum(known), 3) if known and len(known) == len(lengths) else None


def references_of(request: GenerationRequest) -> Iterator[Reference]:
    """Return the references of a request, kind by kind."""
    return starmap(Reference, request.references())


def url_hash(url: str) -> str:
    """Return the ledger's key of a reference: the sha256 of its URL in hex, which reveals no signature.

    The key of the team's own file depends on its content, not on its location.
    """
    file = FileReference.parse(url)
    return hashlib.sha256((url if file is None else file.identity).encode()).hexdigest()
