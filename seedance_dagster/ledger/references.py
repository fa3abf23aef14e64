"""Probes of reference files, remembered so that no file is probed twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from seedance_dagster.api.wire import REFERENCE_KINDS, GenerationRequest, RemovalRequest, TaskRequest
from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import NewOrder, Order, State
from seedance_dagster.ledger.tables.schema import orders, references, to_order
from seedance_dagster.prompts.files import FileReference

NO_HASHES: Mapping[tuple[str, int], str] = MappingProxyType({})
"""The hashes of references that are unknown."""


@dataclass(frozen=True)
class CachedProbe:
    """The result of probing one URL.

    Attributes:
        facts: The facts as JSON.
        validator: The host's ETag, or Last-Modified and size; None when it sends neither.
        checked_at: When the file was probed (UTC).
    """

    facts: dict[str, Any]
    validator: str | None
    checked_at: datetime


def content_hashes(asked: object) -> Mapping[tuple[str, int], str]:
    """Return the hashes of an order's references, by kind and position, as far as they are known.

    A partition's own request has no probes, so no hash of it is known.
    """
    facts = asked.reference_facts if isinstance(asked, NewOrder) else None
    return {(fact["kind"], fact["position"]): fact["sha256"] for fact in facts or () if fact.get("sha256")}


def was_changed(order: Order, contents: Mapping[tuple[str, int], str]) -> bool:
    """Return True where a reference of an order is known to be another file now."""
    return any(contents.get(place, sha256) != sha256 for place, sha256 in content_hashes(order).items())


def newer_links(order: Order, new: NewOrder) -> dict[str, Any] | None:
    """Return a queued order's request with the newer URLs of a request that joined it.

    A file of the team's own stays as it was ordered, since its copy is sent. None where nothing changes.
    """
    lists = {}
    for name in (f"{kind}_urls" for kind in REFERENCE_KINDS):
        own, joined = order.request.get(name) or (), new.request.get(name) or ()
        if len(own) == len(joined):
            lists[name] = [
                old if FileReference.parse(old) else url for old, url in zip(own, joined, strict=True)
            ]
    changed = {name: urls for name, urls in lists.items() if urls and urls != list(order.request[name])}
    return order.request | changed if changed else None


def replace_request(connection: sa.Connection, order: Order, request: dict[str, Any]) -> Order:
    """Give a queued order another request, and return it."""
    update = orders.update().where(orders.c.order_id == order.order_id, orders.c.state == State.QUEUED)
    row = connection.execute(update.values(request=request).returning(orders)).one()
    return to_order(row)


def sent_fields(order: Order) -> dict[str, Any]:
    """Return an order's request as it was sent: with links to its files, without their queries."""
    facts = {(fact["kind"], fact["position"]): fact.get("sent_url") for fact in order.reference_facts or ()}
    lists = {
        f"{kind}_urls": [
            facts.get((kind, position)) or url
            for position, url in enumerate(order.request.get(f"{kind}_urls") or (), 1)
        ]
        for kind in REFERENCE_KINDS
    }
    return order.request | {name: urls for name, urls in lists.items() if urls}


def sent_request(order: Order) -> TaskRequest:
    """Return the request of an order's POST, with links as in `sent_fields`."""
    if order.source_order_id is not None:
        return RemovalRequest(video_url=order.source_url or "")
    return GenerationRequest.model_validate(sent_fields(order), strict=False)


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
