"""Writing a set's index: only when something changed, and never an older one over a newer one."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster.defs.steps.index import index_metadata, refreshed_indexes
from seedance_dagster.engine import indexing
from seedance_dagster.engine.indexing import IndexingError, refresh_index, sets_with_videos
from seedance_dagster.engine.policy import Pacing, Policy
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.storage.index import index_row, to_jsonl
from seedance_dagster.storage.s3 import StoreError

JSONL, PARQUET = "p/spots/index.jsonl", "p/spots/index.parquet"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(prefix="p")


def partitions_in(index: bytes) -> list[str]:
    """Return the partitions in an index, in its order."""
    return [json.loads(line)["partition"] for line in index.splitlines()]


@pytest.fixture
def services(ledger, store, clock) -> Services:
    def nobody():
        raise AssertionError("an index does not need the vendor")

    return Services(ledger=ledger, open_client=nobody, store=store, clock=clock)


@pytest.fixture
def orders(ledger, clock) -> OrderFactory:
    return OrderFactory(ledger, clock, paced=True, prefix="p")


def test_an_index_is_written_only_when_something_changed(services, store, orders):
    """An unchanged index costs no request; with force it is written again, with the same bytes."""
    order = orders.make(State.STORED, "cat", charged=4_000_000)
    written = refresh_index(services, "spots", owner="a")
    assert (written.key, written.parquet_key, written.videos) == (JSONL, PARQUET, 1)
    assert (written.videos_points, sum(day.points for day in written.spend)) == (4_000_000, 4_000_000)
    assert store.objects[JSONL] == to_jsonl(
        [index_row("spots", CurrentVideo("cat", order, order.tags), store.uri)]
    )
    assert refresh_index(services, "spots", owner="a") is None
    assert store.puts == 2
    assert refresh_index(services, "spots", owner="a", force=True).sha256 == written.sha256
    orders.make(State.STORED, "dog")
    assert refresh_index(services, "spots", owner="a").videos == 2
    assert partitions_in(store.objects[JSONL]) == ["cat", "dog"]
    assert sets_with_videos(services) == ["spots"]


def test_spend_is_summed_by_the_most_common_tags(services, store, orders):
    """At most five tags are shown, the most expensive values first, without signatures."""
    orders.make(State.STORED, "cat", charged=4_000_000, tags={"team": "a", **dict.fromkeys("uvwxyz", "1")})
    orders.make(
        State.STORED, "dog", charged=9_000_000, tags={"team": "https://me:pw@x.example.com/b?token=s3cret"}
    )
    orders.make(State.STORED, "elk", charged=1_000_000)
    written = refresh_index(services, "spots", owner="a")
    assert len(written.by_tag) == 5
    rows = index_metadata(written, store)["seedance/spend_by_tag"].records
    team = [row.data for row in rows if row.data["tag"] == "team"]
    assert [(row["value"], row["orders"], row["usd"]) for row in team] == [
        ("https://x.example.com/b", 1, 0.9),
        ("a", 1, 0.4),
        ("(none)", 1, 0.1),
    ]


def test_another_store_gets_its_own_index(services, store, orders):
    """After the bucket changes, the index is written to the new one."""
    orders.make(State.STORED)
    refresh_index(services, "spots", owner="a")
    store.bucket = "elsewhere"
    assert refresh_index(services, "spots", owner="a") is not None
    assert b"s3://elsewhere/" in store.objects[JSONL]


def test_a_parquet_file_that_cannot_be_kept_current_is_emptied(services, store, orders, monkeypatch):
    """Without pyarrow none is written, and an older one does not stay behind."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    orders.make(State.STORED)
    assert refresh_index(services, "spots", owner="a").parquet_key is None
    assert PARQUET not in store.objects
    store.objects[PARQUET] = b"older"
    refresh_index(services, "spots", owner="a", force=True)
    assert store.objects[PARQUET] == b""


@pytest.mark.each_database
def test_concurrent_writers_leave_an_index_of_all_videos(services, store, orders):
    """Eight writers store a video each and refresh the index, which lists all of them at the end."""
    services = replace(services, policy=Policy(pacing=Pacing(index_wait_s=0.002)))
    names = [f"p{number}" for number in range(8)]
    claimed = orders.make_many(State.CLAIMED, *names)

    def work(order) -> None:
        orders.advance(order, State.STORED)
        refresh_index(services, "spots", owner=order.partition)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, claimed))
    assert partitions_in(store.objects[JSONL]) == names
    assert refresh_index(services, "spots", owner="late") is None


def test_a_delayed_writer_does_not_leave_older_bytes(services, store, orders, clock):
    """A writer whose lease ran out while it wrote, after another wrote a newer index, writes again."""
    orders.make(State.STORED, "cat")

    def stall(key: str) -> None:
        if key == JSONL:
            store.before_put = lambda _: None
            clock.forward(seconds=31)
            orders.make(State.STORED, "dog")
            assert refresh_index(services, "spots", owner="b").videos == 2

    store.before_put = stall
    assert refresh_index(services, "spots", owner="a").videos == 2
    assert partitions_in(store.objects[JSONL]) == ["cat", "dog"]


def test_a_writer_that_lost_its_lease_waits_for_the_other_and_writes_last(
    services, store, orders, clock, monkeypatch
):
    """The other writer had written, and not yet noted it, when the older bytes arrived."""
    orders.make(State.STORED, "cat")
    ledger = services.ledger

    def stall(key: str) -> None:
        if key == JSONL:
            store.before_put = lambda _: None
            clock.forward(seconds=31)
            orders.make(State.STORED, "dog")
            ledger.leases.acquire("index spots", "b", seconds=30)

    def end_other(_seconds: float) -> None:
        assert partitions_in(store.objects[JSONL]) == ["cat"]
        ledger.observations.remember({"index spots": indexing._stamp(services, "spots")})
        ledger.leases.release("index spots", "b")

    monkeypatch.setattr(indexing.time, "sleep", end_other)
    store.before_put = stall
    assert refresh_index(services, "spots", owner="a").videos == 2
    assert partitions_in(store.objects[JSONL]) == ["cat", "dog"]


def test_an_index_that_others_keep_writing_is_an_error(services, orders):
    """The error names the owner of the lease."""
    services = replace(services, policy=Policy(pacing=Pacing(index_lease_s=0.001, index_wait_s=0.001)))
    orders.make(State.STORED)
    services.ledger.leases.acquire("index spots", "run 7", seconds=60)
    with pytest.raises(IndexingError, match="the index of spots is being written by run 7"):
        refresh_index(services, "spots", owner="a")


def test_an_index_that_cannot_be_written_is_a_warning(services, store, orders):
    """The run that stored the video succeeds, and the next one tries again."""
    orders.make(State.STORED)

    def refuse(_key: str) -> None:
        raise StoreError("no space")

    store.before_put = refuse
    warnings: list[str] = []
    context = SimpleNamespace(run=SimpleNamespace(run_id="r"), log=SimpleNamespace(warning=warnings.append))
    assert list(refreshed_indexes(context, services, ["spots"], changed=["spots"])) == []
    assert warnings == ["spots/index could not be updated; the next run tries again: no space"]
    store.before_put = lambda _: None
    assert refresh_index(services, "spots", owner="next") is not None
