"""The link that a transfer takes, and the fate of an order whose transfer fails."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from factories import make_task
from harness import no_client
from stores import MemoryStore

from seedance_dagster.api.errors import NotFoundError, TransportError
from seedance_dagster.engine.events import Delayed, Stored
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages import collect
from seedance_dagster.engine.stages.collect import Collector
from seedance_dagster.engine.stages.delivery import Delivery
from seedance_dagster.engine.stages.download import Downloaded, DownloadError
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import State
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.inspection import Inspection
from seedance_dagster.media.properties import Probe

OLD, FRESH = "https://files.example.com/old.mp4", "https://files.example.com/fresh.mp4"
GONE = DownloadError("the link is gone (HTTP 404)", expired=True)
BROKEN = DownloadError("the connection ended early")
WHOLE = Inspection(Probe(4.0, 864, 480, "h264", 1), None, b"a poster", None)
UNREADABLE = Inspection(None, "no decoder", None, "no decoder")
ARTIFACTS = {"sha256": "ab" * 32, "credential": None, "video_key": "k", "size_bytes": 1}


class World:
    """A collector on a real ledger, whose downloads and vendor answer as the test says."""

    def __init__(self, ledger, clock) -> None:
        self.fresh: object = FRESH
        self.downloads: dict[str, Exception] = {}
        self.inspections: dict[str, Inspection] = {}
        self.cut_short: dict[str, str] = {}
        self.hashes: dict[str, str] = {}
        self.steps: list[str] = []
        self.events: list[object] = []
        services = Services(ledger=ledger, open_client=no_client, store=MemoryStore({"k": b"v"}), clock=clock)
        self.collector = Collector(SimpleNamespace(name="w", services=services, client=self), self.emit)

    async def get_task(self, task_id):
        self.steps.append(f"asked for {task_id}")
        if isinstance(self.fresh, Exception):
            raise self.fresh
        return make_task(1, video_url=self.fresh)

    async def download(self, url, path, *, limits):
        name = url.rpartition("/")[2].removesuffix(".mp4")
        self.steps.append(name)
        if name in self.downloads:
            raise self.downloads[name]
        return Downloaded(path, 1, self.hashes.get(path.name, "ab" * 32))

    def inspect(self, file):
        return Delivery(file, self.inspections.get(file.path.name, WHOLE), self.cut_short.get(file.path.name))

    async def emit(self, event):
        self.events.append(event)


@pytest.fixture
def world(ledger, clock, monkeypatch):
    made = World(ledger, clock)
    monkeypatch.setattr(collect, "download_video", made.download)
    monkeypatch.setattr(collect, "inspect_delivery", made.inspect)
    monkeypatch.setattr(Collector, "_put", lambda *_: (ARTIFACTS, b"no picture"))
    return made


@pytest.fixture
def succeeded(ledger, orders, clock):
    """Brings an order to the end of its task, and lets its transfer fail some times."""

    def make(partition: str = "p1", *, video_url: str | None = OLD, transfer_failures: int = 0):
        order = orders.make(State.SUCCEEDED, partition, outcome={"video_url": video_url})
        for _ in range(transfer_failures):
            order = ledger.tasks.transfer_failed(order, actor="w", due_at=clock(), reason="broke")
        return order

    return make


async def collect_one(world, ledger):
    [order] = await world.collector.take(1, None)
    await world.collector.handle(order)
    return ledger.queries.get(order.order_id)


@pytest.mark.parametrize(
    ("order", "downloads", "steps"),
    [
        ({"video_url": OLD}, {}, ["old"]),
        ({"video_url": OLD}, {"old": GONE}, ["old", "asked for t-1", "fresh"]),
        ({"video_url": None}, {}, ["asked for t-1", "fresh"]),
        # what broke before may have had a bad link
        ({"video_url": OLD, "transfer_failures": 1}, {}, ["asked for t-1", "fresh"]),
        ({"video_url": OLD, "transfer_failures": 1}, {"fresh": GONE}, ["asked for t-1", "fresh", "old"]),
    ],
)
async def test_a_transfer_takes_the_link_that_is_known_or_a_fresh_one(
    world, ledger, succeeded, order, downloads, steps
):
    """The known link is tried first, once; a fresh one is asked for when that is gone or broke before."""
    world.downloads = downloads
    succeeded(**order)
    stored = await collect_one(world, ledger)
    assert world.steps == steps
    assert (stored.state, stored.sha256) == (State.STORED, ARTIFACTS["sha256"])
    assert world.events == [Stored(stored, None)], "a poster without a thumbnail is reported all the same"


@pytest.mark.parametrize("answer", [NotFoundError("no such task"), TransportError("no answer"), None])
async def test_the_known_link_works_without_the_vendor_s_answer(world, ledger, succeeded, answer):
    """After one broken transfer, the API that is down or knows nothing loses no video (case m11)."""
    world.fresh = answer
    succeeded(video_url=OLD, transfer_failures=1)
    assert (await collect_one(world, ledger)).state is State.STORED
    assert world.steps == ["asked for t-1", "old"]


async def test_a_broken_transfer_says_what_both_links_gave(world, ledger, succeeded):
    """The reason of a failed transfer has what the known link gave and what the fresh one gave."""
    world.fresh, world.downloads = NotFoundError("no such task"), {"old": GONE}
    succeeded(transfer_failures=1)
    order = await collect_one(world, ledger)
    assert order.error_message == "no such task; by the earlier link: the link is gone (HTTP 404)"


@pytest.mark.parametrize(
    ("fresh", "downloads", "steps", "words"),
    [
        (FRESH, {"old": BROKEN}, ["old"], "ended early"),
        (FRESH, {"old": GONE, "fresh": GONE}, ["old", "asked for t-1", "fresh"], "HTTP 404"),
        (None, {"old": GONE}, ["old", "asked for t-1"], "task t-1 has no video URL any more"),
        (NotFoundError("no such task"), {"old": GONE}, ["old", "asked for t-1"], "no such task"),
        (FRESH, {"old": MediaError("no frame")}, ["old"], "no frame"),
        (FRESH, {"old": OSError(28, "No space left on device")}, ["old"], "No space left"),
    ],
)
async def test_a_broken_transfer_is_postponed_with_its_reason(
    world, ledger, succeeded, clock, fresh, downloads, steps, words
):
    """The order stays paid and outstanding, and the reason is reported."""
    world.fresh, world.downloads = fresh, downloads
    succeeded()
    order = await collect_one(world, ledger)
    assert world.steps == steps
    assert (order.state, order.transfer_failures, order.due_at - clock()) == (
        State.SUCCEEDED,
        1,
        timedelta(seconds=5),
    )
    assert words in order.error_message
    [event] = world.events
    assert isinstance(event, Delayed)
    assert event.reason == f"p1: transfer postponed: {order.error_message}"


async def test_a_collector_takes_finished_orders(orders, world, ledger, succeeded):
    """Only finished orders, under its own lease, up to a limit, of those that are asked for."""
    first, second, third = succeeded("p1"), succeeded("p2"), succeeded("p3")
    [taken] = await world.collector.take(1, [second.order_id, third.order_id])
    assert (taken.order_id, taken.lease_owner) == (second.order_id, "w")
    orders.place("queued")
    assert [order.order_id for order in await world.collector.take(9, None)] == [
        first.order_id,
        third.order_id,
    ]


async def test_a_late_worker_uploads_nothing_over_another_s_video(world, ledger, succeeded, clock):
    """A worker that was stopped for longer than its lease finds on waking that the order is another's."""
    succeeded()
    [late] = await world.collector.take(1, None)
    clock.forward(seconds=999)
    [_] = ledger.tasks.lease_due("other", State.SUCCEEDED, limit=1)
    with pytest.raises(StaleOrderError):
        world.collector._check_lease(late)


@pytest.mark.parametrize("size_bytes", [1, 2])
async def test_a_video_that_differs_from_the_ledger_s_is_fetched_again(world, ledger, succeeded, size_bytes):
    """A server that ignores conditions may hold the bytes of a late worker (seen right after recording)."""
    world.collector._store.objects["k"] = b"v" * size_bytes
    succeeded()
    order = await collect_one(world, ledger)
    assert order.state is (State.STORED if size_bytes == 1 else State.SUCCEEDED)


async def test_a_worker_stores_nothing_at_a_prefix_of_another_ledger(world, ledger, succeeded, monkeypatch):
    """The video stays paid and outstanding, and the reason says what to set."""
    monkeypatch.undo()
    monkeypatch.setattr(collect, "download_video", world.download)
    monkeypatch.setattr(
        collect, "inspect_delivery", lambda _: SimpleNamespace(inspection=WHOLE, is_sound=True)
    )
    monkeypatch.setattr(collect, "sign_video", lambda *_, **__: None)
    world.collector._store.objects["seedance/.seedance-ledger.json"] = (
        b'{"ledger_id": "them", "created_at": "2026-04-06T00:00:00Z"}'
    )
    succeeded()
    order = await collect_one(world, ledger)
    assert order.state is State.SUCCEEDED
    assert "set SEEDANCE_S3_PREFIX" in order.error_message


@pytest.mark.parametrize(
    ("second", "stored"),
    [(WHOLE, "again.mp4"), (UNREADABLE, "video.mp4"), (BROKEN, "video.mp4")],
    ids=["whole", "the same", "gone"],
)
async def test_a_file_that_cannot_be_read_is_fetched_twice_and_stored(
    world, ledger, succeeded, monkeypatch, second, stored
):
    """A file that cannot be read is fetched twice and then stored, since it was paid for."""
    uploads = []
    monkeypatch.setattr(
        Collector, "_put", lambda _, order, delivery: (ARTIFACTS, uploads.append(delivery.file.path.name))
    )
    world.inspections = {"video.mp4": UNREADABLE, "again.mp4": second}
    download = world.download

    async def fetch(url, path, *, limits):
        if path.name == "again.mp4" and second is BROKEN:
            raise BROKEN
        return await download(url, path, limits=limits)

    monkeypatch.setattr(collect, "download_video", fetch)
    succeeded()
    assert (await collect_one(world, ledger)).state is State.STORED
    assert uploads == [stored]


CUT = "the file ends early: 9 bytes are missing"


@pytest.mark.parametrize(
    ("cut", "again", "stored"),
    [
        (["video.mp4"], "cd" * 32, "again.mp4"),
        (["video.mp4", "again.mp4"], "ab" * 32, "again.mp4"),
        (["video.mp4", "again.mp4"], "cd" * 32, None),
    ],
    ids=["whole the second time", "the same twice", "cut elsewhere"],
)
async def test_a_video_that_lacks_its_end_is_stored_only_if_there_is_no_other(
    world, ledger, succeeded, monkeypatch, cut, again, stored
):
    """A file that plays may have lost its sound with its end: it is fetched again, now or later."""
    uploads = []
    monkeypatch.setattr(
        Collector, "_put", lambda _, order, delivery: (ARTIFACTS, uploads.append(delivery.file.path.name))
    )
    world.cut_short, world.hashes = dict.fromkeys(cut, CUT), {"again.mp4": again}
    succeeded()
    order = await collect_one(world, ledger)
    assert (order.state, uploads) == ((State.STORED, [stored]) if stored else (State.SUCCEEDED, []))
    assert (order.error_message == CUT) is (stored is None)
