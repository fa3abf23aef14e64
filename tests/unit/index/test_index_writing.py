"""Writing a set's index: only what changed, and never an older part over a newer one."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from index_support import FOLDER, MANIFEST, PART, assert_current, manifest_of, partitions_in, rows_of

from seedance_dagster.defs.steps.index import index_metadata, refreshed_indexes
from seedance_dagster.engine.indexing import is_due, refresh_index, sets_to_index
from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.storage.errors import StoreError

SECOND, THIRD = f"{FOLDER}part-00002.parquet", f"{FOLDER}part-00003.parquet"


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
    """A verdict, edited tags, a removed prompt, another request and a lost video each reach the index."""
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
    rows = index_metadata(written, services)["seedance/spend_by_tag"].records
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
    """A lost, altered or superfluous part and another manifest are repaired on request, or when needed."""
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
