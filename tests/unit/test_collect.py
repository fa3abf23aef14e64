"""Which link a transfer takes, and what becomes of an order whose transfer breaks."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from ledger_states_support import NOW, make_order, make_task

from seedance_dagster.api.errors import NotFoundError
from seedance_dagster.engine.events import Delayed, Stored
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.stages import collect
from seedance_dagster.engine.stages.collect import Collector
from seedance_dagster.engine.stages.download import Downloaded, DownloadError
from seedance_dagster.ledger.order import State
from seedance_dagster.media.video import MediaError

OLD, FRESH = "https://files.example.com/old.mp4", "https://files.example.com/fresh.mp4"
GONE = DownloadError("the link is gone (HTTP 404)", expired=True)
BROKEN = DownloadError("the connection ended early")
ARTIFACTS = {"sha256": "ab" * 32}


class World:
    """Everything around a collector, and what it did there."""

    def __init__(self, fresh: object = FRESH, /, **answers: Exception) -> None:
        self.fresh = fresh
        self.answers = answers
        self.did: list[object] = []
        self.events: list[object] = []
        services = SimpleNamespace(
            ledger=self, store=SimpleNamespace(prefix="seedance"), policy=Policy(), clock=lambda: NOW
        )
        self.worker = SimpleNamespace(name="w", services=services, client=self)

    async def get_task(self, task_id):
        self.did.append(f"asked for {task_id}")
        if isinstance(self.fresh, Exception):
            raise self.fresh
        return make_task(1, video_url=self.fresh)

    async def download(self, url, path, *, limits):
        name = url.rpartition("/")[2].removesuffix(".mp4")
        self.did.append(name)
        if name in self.answers:
            raise self.answers[name]
        return Downloaded(path, 1, "ab" * 32)

    def lease_due(self, owner, state, *, limit, only):
        self.did.append((owner, state, limit, only))
        return []

    def transfer_failed(self, order, *, actor, due_at, reason):
        self.did.append((actor, due_at - NOW, reason))

    def stored(self, order, *, actor, artifacts):
        self.did.append((actor, artifacts))
        return order

    async def emit(self, event):
        self.events.append(event)


@pytest.fixture
def collected(monkeypatch):
    """Hands an order to a collector."""

    async def run(world: World, **fields) -> World:
        monkeypatch.setattr(collect, "download_video", world.download)
        monkeypatch.setattr(Collector, "_put", lambda *_: (ARTIFACTS, b"no picture"))
        await Collector(world.worker, world.emit).handle(make_order(state=State.SUCCEEDED, **fields))
        return world

    return run


@pytest.mark.parametrize(
    ("order", "answers", "steps"),
    [
        ({"video_url": OLD}, {}, ["old"]),
        ({"video_url": OLD}, {"old": GONE}, ["old", "asked for task-1", "fresh"]),
        ({"video_url": None}, {}, ["asked for task-1", "fresh"]),
        # what broke before may have had a bad link
        ({"video_url": OLD, "transfer_failures": 1}, {}, ["asked for task-1", "fresh"]),
    ],
)
async def test_a_transfer_takes_the_link_that_is_known_or_a_fresh_one(collected, order, answers, steps):
    """The known link is tried first, once; a fresh one is asked for when that is gone or broke before."""
    world = await collected(World(**answers), **order)
    assert world.did == [*steps, ("w", ARTIFACTS)]
    [event] = world.events
    assert isinstance(event, Stored)
    assert event.thumbnail_jpeg is None, "a poster without a thumbnail is told all the same"


@pytest.mark.parametrize(
    ("fresh", "answers", "steps", "words"),
    [
        (FRESH, {"old": BROKEN}, ["old"], "ended early"),
        (FRESH, {"old": GONE, "fresh": GONE}, ["old", "asked for task-1", "fresh"], "HTTP 404"),
        (None, {"old": GONE}, ["old", "asked for task-1"], "task task-1 has no video URL any more"),
        (NotFoundError("no such task"), {"old": GONE}, ["old", "asked for task-1"], "no such task"),
        (FRESH, {"old": MediaError("no frame")}, ["old"], "no frame"),
        (FRESH, {"old": OSError(28, "No space left on device")}, ["old"], "No space left"),
    ],
)
async def test_a_transfer_that_breaks_is_put_off_with_its_reason(collected, fresh, answers, steps, words):
    """The order stays paid and outstanding, and it is said why."""
    world = await collected(World(fresh, **answers), video_url=OLD)
    *did, (actor, wait, reason) = world.did
    assert (did, actor, wait) == (steps, "w", timedelta(seconds=5))
    assert words in reason
    [event] = world.events
    assert isinstance(event, Delayed)
    assert event.reason == f"p1: transfer put off: {reason}"


async def test_a_collector_takes_what_is_finished():
    """Only finished orders, in its own name, so many, of those that are asked for."""
    world = World()
    assert await Collector(world.worker, world.emit).take(7, [1, 2]) == []
    assert world.did == [("w", State.SUCCEEDED, 7, [1, 2])]
