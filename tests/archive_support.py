"""An archive of the journal in a store in memory, and journals as they were before."""

from __future__ import annotations

from datetime import timedelta

from factories import Clock
from order_factory import OrderFactory
from rich.console import Console
from stores import MemoryStore

from seedance_dagster.cli.trace_tree import draw
from seedance_dagster.engine.archiving import archive_journal
from seedance_dagster.engine.journals import JournalReader
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.archive import ArchivePart
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.trace.chain import read_trace
from seedance_dagster.trace.origin import find_origin

FOLDER = "seedance/.journal/"
AGE = timedelta(days=90)
LEASE_S = 601.0  # after which a killed process is forgotten


def services_of(ledger: Ledger, store: MemoryStore, clock: Clock) -> Services:
    """Return services without a vendor."""

    def nobody():
        raise AssertionError("the archive does not need the vendor")

    return Services(ledger=ledger, open_client=nobody, store=store, clock=clock)


def make_old_orders(orders: OrderFactory, clock: Clock) -> list[Order]:
    """Make three orders that ended more than ninety days ago and were reported, and a queued one of today."""
    old = orders.make_many(State.STORED, "a", "b", reported=True)
    rejected = orders.make(State.REJECTED, "c")
    links = orders.ledger.reports.links(rejected.order_id)
    orders.ledger.reports.mark_reported(dict.fromkeys(links, Reported.ENDED))
    clock.forward(days=91)
    orders.make(State.QUEUED, "today")
    return [*old, rejected]


def archive(services: Services, owner: str = "test") -> list[ArchivePart]:
    """Archive everything that may be archived."""
    return list(archive_journal(services, services.clock() - AGE, owner=owner))


def journals(services: Services) -> dict[int, list[JournalEntry]]:
    """Return the whole journal of each order; fail where some of it cannot be read."""
    reader = JournalReader(services.ledger, lambda: services.store)
    ids = {order.order_id for order in services.ledger.queries.find()}
    by_order = reader.read(sorted(ids))
    assert all(journal.is_whole for journal in by_order.values())
    return {order_id: list(journal.entries) for order_id, journal in by_order.items()}


def in_ledger(services: Services) -> set[int]:
    """Return the orders that have entries in the ledger itself."""
    ids = [order.order_id for order in services.ledger.queries.find()]
    return set(services.ledger.queries.journals(ids))


def part_keys(store: MemoryStore) -> set[str]:
    """Return the keys of the objects in the archive's folder."""
    return {key for key in store.objects if key.startswith(FOLDER)}


def traced(services: Services, thing: str) -> str:
    """Return the tree of a trace as text."""
    ledger, bucket = services.ledger, services.store.bucket
    reader = JournalReader(ledger, lambda: services.store)
    trace = read_trace(ledger, reader, find_origin(ledger, thing, bucket=bucket), bucket=bucket)
    out = Console(width=300)
    with out.capture() as captured:
        out.print(draw(trace))
    return captured.get()
