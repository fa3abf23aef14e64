"""Probes of reference files, remembered so that no file is probed twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.schema import references


@dataclass(frozen=True)
class CachedProbe:
    """The result of probing one URL.

    Attributes:
        facts: The facts as JSON.
        validator: The host's ETag, or Last-Modified and size; None when it sends neither.
        checked_at: When, UTC.
    """

    facts: dict[str, Any]
    validator: str | None
    checked_at: datetime


class References(LedgerPart):
    """The part of the ledger that remembers reference files, by the sha256 of their URL.

    The URL itself is never kept: it may be signed.
    """

    def cached_probes(self, url_hashes: Collection[str]) -> dict[str, CachedProbe]:
        """Return the remembered probes of some URLs, by the sha256 of the URL in hex."""
        probes = {}
        with self._database.reading() as connection:
            for chunk in chunked(url_hashes):
                query = sa.select(references).where(references.c.url_sha256.in_(chunk))
                for row in connection.execute(query):
                    probes[row.url_sha256] = CachedProbe(row.facts, row.validator, row.checked_at)
        return probes

    def cache_probes(self, probes: Mapping[str, CachedProbe]) -> None:
        """Remember probes, by the sha256 of the URL in hex."""
        with self._database.writing() as connection:
            for url_hash, probe in probes.items():
                connection.execute(references.delete().where(references.c.url_sha256 == url_hash))
                connection.execute(references.insert().values(url_sha256=url_hash, **vars(probe)))
