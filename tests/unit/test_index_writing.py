"""Writing a set's index: only what changed, and never an older part over a newer one."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from index_support import FOLDER, MANIFEST, PART, assert_current, manifest_of, rows_of
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster.defs.steps.index import index_metadata, refreshed_indexes
from seedance_dagster.engine import index_writer
from seedance_dagster.engine.indexing import IndexingError, is_due, refresh_index, sets_to_index
from seedance_dagster.engine.policy import Pacing, Policy
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.partitions import PartitionRequest
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.storage.s3 import StoreError

SECOND, THIRD = f"{FOLDER}part-00002.parquet", f"{FOLDER}part-00003.parquet"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(prefix="p")


@pytest.fixture
def services(ledger, store, clock) -> Services:
    def nobody():
        raise AssertionError("an index does not need the vendor")

    return Services(ledger=ledger, open_client=nobody, store=store, clock=clock)


@pytest.fixture
def orders(ledger, clock) -> OrderFactory:
    return OrderFactory(ledger, clock, paced=True, prefix="p")


@pytest.fixture
def small_parts(monkeypatch) -> None:
    """Parts of two rows."""
    monkeypatch.setattr(index_writer, "PART_ROWS", 2)


def partitions_in(store: MemoryStore) -> list[str]:
    return [row["partition"] for row in rows_of(store)]


def test_an_index_is_written_only_when_something_changed(services, store, orders):
    """An unchanged index costs no write, and no request unless it is forced."""
    orders.make(State.STORED, "cat", charged=4_000_000)
    assert sets_to_index(services) == ["spots"]
    written = refresh_index(services, "spots", owner="a")
    assert (written.folder, written.manifest_key) == (FOLDER, MANIFEST)
    assert (written.videos, written.parts, written.videos_points) == (1, 1, 4_000_000)
    assert sum(day.points for day in written.spend) == 4_000_000
    assert_current(services)
    assert store.written == [PART, MANIFEST]
    assert sets_to_index(services) == []
    assert refresh_index(services, "spots", owner="a") is None
    assert refresh_index(services, "spots", owner="a", force=True) == written
    assert refresh_index(services, "spots", owner="a", rebuild=True) == written
    assert store.written == [PART, MANIFEST, MANIFEST]
    orders.make(State.STORED, "dog")
    newer = refresh_index(services, "spots", owner="a")
    assert newer.videos == 2
    assert newer.version != written.version
    assert_current(services)


def test_only_the_parts_with_changed_rows_are_written(services, store, orders, small_parts):
    """New rows go into the last part until it is full; a changed row stays in its part."""
    for names in (["a", "b", "c"], ["d", "e"]):
        orders.make_many(State.STORED, *names)
        refresh_index(services, "spots", owner="w")
        assert_current(services)
    assert store.written[-3:] == [SECOND, THIRD, MANIFEST]
    assert [part.videos for part in manifest_of(store).parts] == [2, 2, 1]
    store.written.clear()
    orders.make(State.STORED, "c")
    refresh_index(services, "spots", owner="w")
    assert store.written == [SECOND, MANIFEST]
    assert_current(services)
    assert [part.videos for part in manifest_of(store).parts] == [2, 2, 1]


@pytest.mark.each_database
def test_each_kind_of_change_reaches_the_index(services, store, orders, clock):
    """A verdict, edited tags, a prompt that left its file, another request, and a video that is lost."""
    ledger = services.ledger
    cat, _ = orders.make_many(State.STORED, "cat", "dog", fingerprint=lambda name: f"of {name}")
    asked = {name: PartitionRequest(f"of {name}") for name in ("cat", "dog")}
    ledger.partitions.update("spots", asked)
    refresh_index(services, "spots", owner="w")

    def lose() -> None:
        ledger.repairs.fetch_again(cat, actor="audit", video_url="https://x.example.com/v", reason="lost")

    accept = {"cat": Judgement(Verdict.ACCEPTED)}
    tagged = asked | {"dog": PartitionRequest("of dog", tags={"team": "a"})}
    changes = [
        lambda: ledger.verdicts.give("spots", accept, reviewer="ann"),
        lambda: ledger.verdicts.undo("spots", ["cat"], reviewer="ann"),
        lambda: ledger.partitions.update("spots", tagged),
        lambda: ledger.partitions.update("spots", {"cat": asked["cat"]}),
        lambda: ledger.partitions.update("spots", {"cat": PartitionRequest("other")}),
        lambda: orders.make(State.STORED, "cat", fingerprint="other"),
        lambda: ledger.partitions.update("spots", {"cat": asked["cat"]}),
        lambda: ledger.partitions.link("other", {"kitty": cat.order_id}),
        lambda: ledger.partitions.link("spots", {"kitty": cat.order_id}),
        lose,
    ]
    versions = [manifest_of(store).version]
    for change in changes:
        change()
        refresh_index(services, "spots", owner="w")
        assert_current(services)
        versions.append(manifest_of(store).version)
    # An undo and a request that is taken back give an earlier version again.
    assert [versions.index(version) for version in versions] == [0, 1, 0, 3, 4, 4, 6, 4, 4, 9, 6]
    assert sorted(partitions_in(store)) == ["cat", "dog"]


@pytest.mark.each_database
def test_what_a_set_spent_for_nothing_makes_its_index_due(services, orders):
    """A penalty is a part of the spend that the index shows; orders in flight and other sets are not."""
    orders.make(State.STORED, "cat")
    refresh_index(services, "spots", owner="w")
    orders.make(State.QUEUED, "dog")
    orders.make(State.STORED, "elk", prompt_set="other")
    orders.make(State.FAILED, "fox", charged=0)
    assert not is_due(services, "spots")
    orders.make(State.REJECTED, "bad")
    version = refresh_index(services, "spots", owner="w", force=True).version
    assert refresh_index(services, "spots", owner="w", force=True).version == version


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
    assert sets_to_index(services) == ["spots"]
    assert refresh_index(services, "spots", owner="a") is not None
    assert rows_of(store)[0]["uri"].startswith("s3://elsewhere/")


def test_without_pyarrow_the_parts_are_json_lines(services, store, orders, monkeypatch, small_parts):
    """Parts of the other format are deleted, so that no reader finds a video twice, and so back again."""
    orders.make_many(State.STORED, "cat", "dog", "elk", tags={"a": "b"})
    refresh_index(services, "spots", owner="a")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        assert refresh_index(services, "spots", owner="a").suffix == ".jsonl"
        assert sorted(partitions_in(store)) == ["cat", "dog", "elk"]
        orders.make(State.STORED, "cat")
        orders.make(State.STORED, "fox")
        store.written.clear()
        refresh_index(services, "spots", owner="a")
        assert store.written == [f"{FOLDER}part-0000{number}.jsonl" for number in (1, 2)] + [MANIFEST]
        assert [row["attempt"] for row in rows_of(store)] == [1, 2, 1, 1]
    assert refresh_index(services, "spots", owner="a").suffix == ".parquet"
    assert_current(services)


def test_an_index_of_an_earlier_format_is_replaced(services, store, orders):
    """Its two files go; where nothing may be deleted they are emptied."""
    old = [f"p/spots/index.{suffix}" for suffix in ("jsonl", "parquet")]
    store.objects |= dict.fromkeys(old, b"earlier")
    orders.make(State.STORED)
    refresh_index(services, "spots", owner="a")
    assert not set(old) & set(store.objects)
    store.objects |= dict.fromkeys(old, b"earlier")
    store.delete = lambda _key: False
    refresh_index(services, "spots", owner="a", rebuild=True)
    assert {store.objects[key] for key in old} == {b""}


@pytest.mark.parametrize("rebuild", [True, False])
def test_what_is_damaged_in_s3_is_written_again(services, store, orders, small_parts, rebuild):
    """A part that is lost, altered or left over, and another manifest: when asked, or when it is needed."""
    orders.make_many(State.STORED, "a", "b", "c", "d", "e")
    refresh_index(services, "spots", owner="w")
    damages = [
        lambda: store.objects.pop(THIRD),
        lambda: store.objects.update({THIRD: b"PAR1"}),
        lambda: store.objects.update({THIRD: store.objects[SECOND]}),
        lambda: store.objects.pop(MANIFEST),
        lambda: store.objects.update({MANIFEST: b"{}"}),
        lambda: (store.objects.pop(MANIFEST), store.objects.update({f"{FOLDER}part-00009.parquet": b""})),
    ]
    for damage in damages:
        damage()
        if not rebuild:
            orders.make(State.STORED, "e")
        refresh_index(services, "spots", owner="w", rebuild=rebuild)
        assert_current(services)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_killed_writer_leaves_an_index_that_can_be_read(services, store, orders, small_parts, victim):
    """Each video is read once at most, and the next writer makes it whole, also with nothing new."""
    orders.make_many(State.STORED, "a", "b", "c")
    refresh_index(services, "spots", owner="w")
    orders.make_many(State.STORED, "d", "e", "f")
    puts = iter(range(9))

    def kill(_key: str) -> None:
        if next(puts) == victim:
            raise KeyboardInterrupt

    store.before_put = kill
    with pytest.raises(KeyboardInterrupt):
        refresh_index(services, "spots", owner="w")
    store.before_put = lambda _: None
    found = partitions_in(store)
    assert len(found) == len(set(found))
    assert {"a", "b", "c"} <= set(found)
    assert is_due(services, "spots")
    refresh_index(services, "spots", owner="next")
    assert_current(services)


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
    assert sorted(partitions_in(store)) == names
    assert_current(services)
    assert refresh_index(services, "spots", owner="late") is None


@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("stalled", [PART, MANIFEST])
def test_a_delayed_writer_does_not_leave_older_bytes(services, store, orders, clock, stalled, conditions):
    """A writer whose lease ran out while it wrote, after another wrote a newer index, writes again."""
    orders.make(State.STORED, "ape")
    refresh_index(services, "spots", owner="a")
    store.writer = SimpleNamespace(knows_conditions=conditions)
    orders.make(State.STORED, "cat")

    def stall(key: str) -> None:
        if key == stalled:
            store.before_put = lambda _: None
            clock.forward(seconds=31)
            orders.make(State.STORED, "dog")
            assert refresh_index(services, "spots", owner="b").videos == 3

    store.before_put = stall
    assert refresh_index(services, "spots", owner="a").videos == 3
    assert_current(services)


def test_a_writer_that_waits_for_another_finds_its_work_done(services, store, orders, monkeypatch):
    """It does not write what the other has written."""
    orders.make(State.STORED, "cat")
    services.ledger.leases.acquire("index spots", "b", seconds=30)

    def end_other(_seconds: float) -> None:
        refresh_index(services, "spots", owner="b")

    monkeypatch.setattr("seedance_dagster.engine.indexing.time.sleep", end_other)
    assert refresh_index(services, "spots", owner="a") is None
    assert store.written == [PART, MANIFEST]


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
