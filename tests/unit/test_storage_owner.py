"""A prefix in S3 belongs to one ledger."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from dagster import DagsterInstance
from factories import make_prompt_set
from harness import no_client
from stores import MemoryStore

from seedance_dagster.cli.commands import audit
from seedance_dagster.cli.root import root
from seedance_dagster.engine.indexing import refresh_index
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import OrderingError, quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.keys import index_keys
from seedance_dagster.storage.owner import Owner, claim_prefix, owner_key

MINE, THEIRS = (Owner(ledger_id=name, created_at=datetime(2026, 4, 6, tzinfo=UTC)) for name in ("me", "them"))


def test_a_ledger_keeps_its_id(ledger_url):
    """It has the same one each time it is opened, and another ledger has another."""
    first, again = Ledger.open(ledger_url), Ledger.open(ledger_url)
    other = Ledger.open(ledger_url.replace("ledger.db", "other.db"))
    assert first.identity == again.identity != other.identity
    for ledger in (first, again, other):
        ledger.close()


def test_a_prefix_belongs_to_the_ledger_that_came_first():
    """The first may come again; another one sees whose it is and what to set."""
    store = MemoryStore(prefix="videos")
    claim_prefix(store, MINE)
    claim_prefix(store, MINE)
    with pytest.raises(StoreError) as caught:
        claim_prefix(store, THEIRS)
    assert str(caught.value) == (
        "the prefix s3://videos/videos belongs to another ledger (id me, since 2026-04-06): set "
        "SEEDANCE_LEDGER_URL to that ledger; if it is lost, `seedance-dagster restore` rebuilds it in a new "
        "one. If it is another team's, set SEEDANCE_S3_PREFIX to a prefix of your own"
    )
    claim_prefix(MemoryStore(store.objects, prefix="theirs"), THEIRS)


def test_an_owner_that_cannot_be_read_owns_all_the_same():
    """A damaged file says nothing, so nothing is written beside it."""
    store = MemoryStore({owner_key("seedance"): b"{}"})
    with pytest.raises(StoreError, match="does not say which ledger"):
        claim_prefix(store, MINE)


def test_a_second_ledger_orders_nothing_at_a_prefix_of_another(ledger):
    """Two people's dev, or dev and prod: the second is refused before it pays (case m14)."""
    store = MemoryStore()
    claim_prefix(store, THEIRS)
    services = Services(ledger=ledger, open_client=no_client, store=store)
    request = OrderRequest(idempotency_key="c", run_id="r")
    quotes = quote(services, list(make_prompt_set("a cat").partitions.values()), request, prompt_set="spots")
    with pytest.raises(OrderingError, match=r"nothing was ordered: the prefix .* set SEEDANCE_S3_PREFIX"):
        place_orders(services, quotes, request)
    assert ledger.queries.find() == []


def test_nothing_is_repaired_at_a_prefix_of_another_ledger(ledger, monkeypatch):
    """The objects there belong to that ledger's orders: none of them comes into this one (case m14)."""
    store = MemoryStore()
    claim_prefix(store, THEIRS)
    services = Services(ledger=ledger, open_client=no_client, store=store)
    settings = SimpleNamespace(services=lambda: nullcontext(services))
    monkeypatch.setattr(audit, "ledger_settings", lambda: settings)
    monkeypatch.setattr(audit, "dagster_of", lambda _: DagsterInstance.ephemeral())
    done = CliRunner().invoke(root, ["audit", "--repair"])
    assert done.exit_code == 1
    assert "belongs to another ledger (id them" in done.output


def test_no_index_is_written_at_a_prefix_of_another_ledger(ledger, orders):
    """A prefix that was changed to one of another ledger keeps that one's index."""
    orders.make(State.STORED, "cat", prompt_set="spots")
    index = index_keys("seedance", "spots").manifest
    store = MemoryStore({index: b"theirs"})
    claim_prefix(store, THEIRS)
    services = Services(ledger=ledger, open_client=no_client, store=store)
    with pytest.raises(StoreError, match="belongs to another ledger"):
        refresh_index(services, "spots", owner="w")
    assert store.objects[index] == b"theirs"
