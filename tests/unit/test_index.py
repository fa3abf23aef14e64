"""A set's index: which videos it lists, in which form, and that no older one overwrites a newer."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from seedance_dagster.defs.index_writing import refreshed_indexes
from seedance_dagster.generation import indexing
from seedance_dagster.generation.indexing import IndexingError, refresh_index, sets_with_videos
from seedance_dagster.generation.services import Services
from seedance_dagster.ledger import Asking, State
from seedance_dagster.store.index import COLUMNS, index_row, to_jsonl, to_parquet
from seedance_dagster.store.s3 import StoreError

SQLITE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
JSONL, PARQUET = "p/spots/index.jsonl", "p/spots/index.parquet"


class Bucket:
    """A video store in memory; `before_put` is called with each key before it is written."""

    bucket, prefix = "videos", "p"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0
        self.before_put: Callable[[str], None] = lambda _: None

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def head(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def put_bytes(self, key: str, body: bytes, **_: object) -> None:
        self.puts += 1
        self.before_put(key)
        self.objects[key] = body

    def listed(self) -> list[str]:
        """Partitions in the index, in its order."""
        return [json.loads(line)["partition"] for line in self.objects[JSONL].splitlines()]


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def services(ledger, bucket, clock) -> Services:
    def nobody():
        raise AssertionError("an index needs no vendor")

    return Services(ledger=ledger, open_client=nobody, store=bucket, clock=clock)


@pytest.fixture
def ordered(ledger, new_order, clock):
    """Makes an order, and brings it to an end where one is named."""

    def make(partition: str = "cat", end: State | None = State.STORED, *, charged: int | None = 4, **fields):
        asking = Asking(cause=f"c{clock()}", run_id="r", regenerate=True, resubmit_rejected=True)
        [(order, _)] = ledger.accept([new_order(partition, **fields)], asking)
        clock.forward(seconds=1)
        if end is None:
            return order
        [claimed] = ledger.claim("w", limit=1, max_in_flight=None, only=[order.order_id])
        task = {"task_id": f"t{order.order_id}", "points_charged": charged}
        order = ledger.submitted(claimed, actor="w", due_at=clock(), task=task)
        if end is not State.STORED:
            over, _ = ledger.ended(order, end, actor="w", error_class="x", reason="x", task=task)
            return over
        order = ledger.succeeded(order, actor="w", task=task)
        artifacts = {
            **{f"{kind}_key": f"p/spots/{partition}/{order.order_id}/{kind}" for kind in ("video", "poster")},
            **{"width": 64, "height": 36, "size_bytes": 9, "duration_s": 4, "codec": "h264", "fps": 24.0}
            | {"manifest_key": f"p/{order.order_id}/manifest", "sha256": f"{order.order_id:064x}"},
        }
        return ledger.stored(order, actor="w", artifacts=artifacts)

    return make


def shown(ledger) -> list[tuple[str, int]]:
    return [(order.partition, order.attempt) for order in ledger.shown("spots")]


def test_each_partition_shows_its_newest_video(ledger, ordered):
    """In the order of the first orders, whatever became of them; what has no video is left out."""
    ordered("bad", State.REJECTED)
    ordered("cat")
    ordered("dog", None)
    ordered("elk", prompt_set="other")
    ordered("cat")
    ordered("cat", State.FAILED)
    ordered("bad")
    assert shown(ledger) == [("bad", 2), ("cat", 2)]


def test_what_the_file_asks_for_now_is_shown_before_what_is_newer(ledger, ordered):
    """An edit that was taken back shows the first video again."""
    ordered("cat", fingerprint="first")
    ordered("cat", fingerprint="edited")
    assert [order.fingerprint for order in ledger.shown("spots")] == ["edited"]
    before = ledger.dataset_stamp("spots")
    ledger.note_prompts_reported("spots", {"cat": "first"})
    assert [order.fingerprint for order in ledger.shown("spots")] == ["first"]
    assert ledger.dataset_stamp("spots") != before


def test_spend_by_day_counts_everything_that_was_charged(ledger, ordered, clock):
    """Penalties and earlier attempts too, on the UTC day of the order."""
    ordered("cat", charged=4_000_000)
    ordered("cat", charged=5_000_000)
    clock.forward(hours=6)
    ordered("bad", State.REJECTED, charged=40_000)
    ordered("free", State.FAILED, charged=0)
    ordered("untold", charged=None)
    spend = [(each.day, each.orders, each.points) for each in ledger.spend_by_day("spots")]
    assert spend == [(date(2026, 4, 6), 2, 9_000_000), (date(2026, 4, 7), 1, 40_000)]


def test_the_stamp_changes_with_what_the_index_is_made_from(ledger, ordered):
    """A new video and a penalty change it; queued orders and other sets do not."""
    stamps = [ledger.dataset_stamp("spots")]
    ordered("cat")
    stamps.append(ledger.dataset_stamp("spots"))
    ordered("bad", State.REJECTED)
    stamps.append(ledger.dataset_stamp("spots"))
    assert len(set(stamps)) == 3
    ordered("dog", None)
    ordered("elk", prompt_set="other")
    assert ledger.dataset_stamp("spots") == stamps[-1]


@SQLITE
def test_a_row_says_all_that_a_dataset_needs(ordered):
    """Parameters from the request, measures from the file, no signature; unknown is null."""
    request = {
        "task_type": "seedance-2",
        "prompt": "ein Kätzchen",
        "mode": "omni_reference",
        "duration": 4,
        "image_urls": ["https://me:s3cret@x.example.com/a.png?sig=s3cret"],
    }
    tags = {"campaign": "spring", "from": "https://x.example.com/v?token=s3cret"}
    order = ordered(request=request, tags=tags, charged=3_200_000)
    row = index_row(order, Bucket().uri)
    assert list(row) == [column.name for column in COLUMNS]
    assert row["duration"] == row["duration_s"] == 4
    assert row["image_urls"] == ["https://x.example.com/a.png"]
    assert row["video_urls"] == []
    assert row["tags"] == {"campaign": "spring", "from": "https://x.example.com/v"}
    assert (row["cost_usd"], row["points_charged"], row["audio"]) == (0.32, 3_200_000, None)
    assert row["uri"] == f"s3://videos/{order.video_key}"
    line = to_jsonl([row])
    assert "ein Kätzchen".encode() in line
    assert b"s3cret" not in line
    assert json.loads(line)["stored_at"] == order.stored_at.isoformat().replace("+00:00", "Z")


@SQLITE
def test_jsonl_and_parquet_hold_the_same(ordered):
    """Row by row and column by column, with types; the same rows give the same bytes."""
    rows = [index_row(ordered("cat", tags={"a": "b"}), str), index_row(ordered("dog", charged=None), str)]
    table = pq.read_table(io_of(to_parquet(rows)))
    assert table.column_names == [column.name for column in COLUMNS]
    assert table.to_pylist(maps_as_pydicts="strict") == rows
    assert str(table.schema.field("stored_at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("points_charged").type) == "int64"
    assert (to_jsonl(rows), to_parquet(rows)) == (to_jsonl(rows), to_parquet(rows))
    assert to_jsonl([]) == b""
    assert pq.read_table(io_of(to_parquet([]))).num_rows == 0


def io_of(content: bytes | None) -> io.BytesIO:
    assert content is not None
    return io.BytesIO(content)


@SQLITE
def test_an_index_is_written_only_when_something_changed(services, bucket, ordered):
    """Unchanged, it costs no request; by force it is written all the same, with the same bytes."""
    order = ordered("cat", charged=4_000_000)
    written = refresh_index(services, "spots", owner="a")
    assert (written.key, written.parquet_key, written.videos) == (JSONL, PARQUET, 1)
    assert (written.videos_points, sum(day.points for day in written.spend)) == (4_000_000, 4_000_000)
    assert bucket.objects[JSONL] == to_jsonl([index_row(order, bucket.uri)])
    assert refresh_index(services, "spots", owner="a") is None
    assert bucket.puts == 2
    assert refresh_index(services, "spots", owner="a", force=True).sha256 == written.sha256
    ordered("dog")
    assert refresh_index(services, "spots", owner="a").videos == 2
    assert bucket.listed() == ["cat", "dog"]
    assert sets_with_videos(services) == ["spots"]


@SQLITE
def test_another_place_gets_an_index_of_its_own(services, bucket, ordered):
    """When videos go to another bucket, the index is written there."""
    ordered()
    refresh_index(services, "spots", owner="a")
    bucket.bucket = "elsewhere"
    assert refresh_index(services, "spots", owner="a") is not None
    assert b"s3://elsewhere/" in bucket.objects[JSONL]


@SQLITE
def test_a_parquet_file_that_cannot_be_kept_current_is_emptied(services, bucket, ordered, monkeypatch):
    """Without pyarrow none is written, and one that is there does not stay behind."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    ordered()
    assert refresh_index(services, "spots", owner="a").parquet_key is None
    assert list(bucket.objects) == [JSONL]
    bucket.objects[PARQUET] = b"older"
    refresh_index(services, "spots", owner="a", force=True)
    assert bucket.objects[PARQUET] == b""


def test_writers_that_finish_together_leave_all_their_videos(services, bucket, ordered, monkeypatch):
    """Each of eight brings a video and refreshes; whoever comes last, the index lists all of them."""
    monkeypatch.setattr(indexing, "_WAIT_S", 0.002)
    monkeypatch.setattr(indexing, "_TRIES", 10_000)
    names = [f"p{number}" for number in range(8)]
    for name in names:
        ordered(name, None)
    orders = services.ledger.claim("w", limit=8, max_in_flight=None)

    def work(order) -> None:
        task = {"task_id": order.partition}
        moved = services.ledger.submitted(order, actor="w", due_at=services.clock(), task=task)
        moved = services.ledger.succeeded(moved, actor="w", task={})
        services.ledger.stored(moved, actor="w", artifacts={"sha256": order.partition, "video_key": "v"})
        refresh_index(services, "spots", owner=order.partition)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, orders))
    assert bucket.listed() == names
    assert refresh_index(services, "spots", owner="late") is None


@SQLITE
def test_a_writer_that_was_held_up_does_not_leave_older_bytes(services, bucket, ordered, clock):
    """Its lease ran out, another wrote a newer index, then its own older bytes arrive: it writes again."""
    ordered("cat")

    def stand_still(key: str) -> None:
        if key == JSONL:
            bucket.before_put = lambda _: None
            clock.forward(seconds=31)
            ordered("dog")
            assert refresh_index(services, "spots", owner="b").videos == 2

    bucket.before_put = stand_still
    assert refresh_index(services, "spots", owner="a").videos == 2
    assert bucket.listed() == ["cat", "dog"]


@SQLITE
def test_a_writer_that_lost_its_lease_waits_for_the_other_and_writes_last(
    services, bucket, ordered, clock, monkeypatch
):
    """The other had written and not yet noted it when the older bytes arrived."""
    ordered("cat")
    ledger = services.ledger

    def stand_still(key: str) -> None:
        if key == JSONL:
            bucket.before_put = lambda _: None
            clock.forward(seconds=31)
            ordered("dog")
            ledger.hold("index spots", "b", seconds=30)

    def the_other_ends(_seconds: float) -> None:
        assert bucket.listed() == ["cat"]
        ledger.learn({"index spots": indexing._stamp(services, "spots")})
        ledger.drop("index spots", "b")

    monkeypatch.setattr(indexing.time, "sleep", the_other_ends)
    bucket.before_put = stand_still
    assert refresh_index(services, "spots", owner="a").videos == 2
    assert bucket.listed() == ["cat", "dog"]


@SQLITE
def test_an_index_that_others_write_all_the_time_is_given_up_in_words(services, ordered, monkeypatch):
    """Who holds it is named."""
    monkeypatch.setattr(indexing, "_TRIES", 2)
    monkeypatch.setattr(indexing, "_WAIT_S", 0)
    ordered()
    services.ledger.hold("index spots", "run 7", seconds=60)
    with pytest.raises(IndexingError, match="the index of spots is being written by run 7"):
        refresh_index(services, "spots", owner="a")


@SQLITE
def test_an_index_that_cannot_be_written_is_a_warning(services, bucket, ordered):
    """The run that brought the video has done its work; the next one tries again."""
    ordered()

    def refuse(_key: str) -> None:
        raise StoreError("no space")

    bucket.before_put = refuse
    said: list[str] = []
    context = SimpleNamespace(run=SimpleNamespace(run_id="r"), log=SimpleNamespace(warning=said.append))
    assert list(refreshed_indexes(context, services, ["spots"], changed=["spots"])) == []
    assert said == ["spots/index was not brought up to date, the next run tries again: no space"]
    bucket.before_put = lambda _: None
    assert refresh_index(services, "spots", owner="next") is not None
