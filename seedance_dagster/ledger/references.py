"""What was seen of reference files, so that the same file is not looked at twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.schema import references

_CHUNK = 500  # rows asked for at once, well under SQLite's limit of bound parameters


@dataclass(frozen=True)
class CachedProbe:
    """What a look at one URL found.

    Attributes:
        facts: The facts as JSON.
        validator: The host's word that changes with the file; None when it gives none.
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
        """What is known of some URLs, by the sha256 of the URL in hex."""
        wanted, found = sorted(url_hashes), {}
        with self._database.reading() as connection:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                for row in connection.execute(
                    sa.select(references).where(references.c.url_sha256.in_(chunk))
                ):
                    found[row.url_sha256] = CachedProbe(row.facts, row.validator, row.checked_at)
        return found

    def cache_probes(self, seen: Mapping[str, CachedProbe]) -> None:
        """Remember what was seen, by the sha256 of the URL in hex."""
        with self._database.writing() as connection:
            for url_hash, file in seen.items():
                connection.execute(references.delete().where(references.c.url_sha256 == url_hash))
                connection.execute(references.insert().values(url_sha256=url_hash, **vars(file)))
