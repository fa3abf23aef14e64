"""Videos without a poster: stored, named, and repaired when a poster can be cut."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import pytest
from harness import no_client
from media_support import make_clip
from stores import MemoryStore

from seedance_dagster.engine.posters import cut_missing_posters
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import Collector
from seedance_dagster.engine.stages.delivery import Delivery
from seedance_dagster.engine.stages.download import Downloaded
from seedance_dagster.ledger.order import State
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.inspection import Inspection
from seedance_dagster.media.properties import Probe, Sound

PROBE = Probe(1.0, 64, 48, "h264", 9, 24.0, 8, "pq", Sound("aac", 2, silent=True))


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_clip()


@pytest.fixture
def services(ledger, clock):
    return Services(ledger=ledger, open_client=no_client, store=MemoryStore(), clock=clock)


@pytest.fixture
def stored(services, orders, ledger, clip, tmp_path):
    """Store a video as its collector does, with a given inspection of its file."""

    def store(inspection: Inspection):
        order = orders.make(State.SUCCEEDED, "cat")
        path = tmp_path / "video.mp4"
        path.write_bytes(clip)
        file = Downloaded(path, len(clip), hashlib.sha256(clip).hexdigest())

        async def emit(_event):
            pass

        collector = Collector(SimpleNamespace(name="w", services=services, client=None), emit)
        collector._check_lease = lambda _: None
        services.store.put_file = lambda key, path, **_: services.store.objects.update(
            {key: path.read_bytes()}
        )
        artifacts, poster = collector._put(order, Delivery(file, inspection))
        assert poster is inspection.poster
        return ledger.tasks.stored(order, actor="w", artifacts=artifacts)

    return store


def manifest_of(services, order) -> dict:
    return json.loads(services.store.objects[order.manifest_key])


def test_a_video_without_a_poster_is_stored(services, stored):
    """The manifest and the ledger say why it has none (l4)."""
    order = stored(Inspection(PROBE, None, None, "no frame"))
    assert (order.poster_key, order.poster_problem, order.video_problem) == (None, "no frame", None)
    assert {key.rpartition("/")[2] for key in services.store.objects} >= {"video.mp4", "manifest.json"}
    assert not any(key.endswith("poster.jpg") for key in services.store.objects)
    manifest = manifest_of(services, order)
    assert (manifest["poster_key"], manifest["poster_problem"]) == (None, "no frame")
    names = ("audio_codec", "audio_channels", "audio_silent", "hdr", "bit_depth")
    assert [manifest[name] for name in names] == ["aac", 2, True, "pq", 8]


def test_a_file_that_cannot_be_read_is_stored(services, stored, clip):
    """A file that cannot be read is stored, since it was paid for, with null for unknown facts (l4)."""
    order = stored(Inspection(None, "no decoder", None, "no decoder"))
    assert services.store.objects[order.video_key] == clip
    manifest = manifest_of(services, order)
    assert manifest["video_problem"] == "no decoder"
    assert {manifest[name] for name in ("duration_s", "width", "codec", "audio_channels")} == {None}


def test_a_poster_is_cut_when_it_can_be(services, stored, ledger):
    """Ledger and manifest have it, and the check is content (l4)."""
    order = stored(Inspection(PROBE, None, None, "no frame"))
    cut_missing_posters(services, "spots", actor="a test")
    after = ledger.queries.get(order.order_id)
    poster = services.store.objects[after.poster_key]
    assert poster[:2] == b"\xff\xd8"
    assert (after.poster_problem, after.poster_size_bytes) == (None, len(poster))
    assert after.poster_sha256 == hashlib.sha256(poster).hexdigest()
    assert manifest_of(services, after)["poster_key"] == after.poster_key
    reads = len(services.store.reads)
    cut_missing_posters(services, "spots", actor="a test")
    assert len(services.store.reads) == reads, "what has a poster is not read again"


@pytest.mark.parametrize("trouble", ["no frame", "changed", "lost"])
def test_a_poster_that_still_cannot_be_cut_stays_missing(services, stored, ledger, monkeypatch, trouble):
    """Nothing is written, and the checks go on (l4)."""
    order = stored(Inspection(PROBE, None, None, "no frame"))
    if trouble == "no frame":

        def fail(_path):
            raise MediaError("no frame")

        monkeypatch.setattr("seedance_dagster.engine.posters.cut_poster", fail)
    elif trouble == "changed":
        services.store.objects[order.video_key] += b"x"
    else:
        del services.store.objects[order.video_key]
    puts = services.store.puts
    cut_missing_posters(services, "spots", actor="a test")
    assert services.store.puts == puts
    assert ledger.queries.get(order.order_id) == order
