"""Previews beside stored videos: stored where one is needed, and never in the way of a video."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest
from factories import PREFIX
from gallery_support import Client, unreached_store
from harness import no_client
from media_support import make_clip
from stores import MemoryStore

from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages import collect
from seedance_dagster.engine.stages.collect import Collector
from seedance_dagster.engine.stages.delivery import inspect_delivery
from seedance_dagster.engine.stages.download import Downloaded
from seedance_dagster.ledger.order import State
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.inspection import probe_video
from seedance_dagster.review.gallery.app import create_gallery
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.keys import object_keys, order_folder
from seedance_dagster.storage.manifest import Manifest


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.put_file = lambda key, path, **_: made.objects.update({key: path.read_bytes()})
    return made


@pytest.fixture
def collected(ledger, orders, clock, store, tmp_path):
    """Stores a delivered video as a worker does, and returns its order."""

    def collected(codec: str = "libx265", *, previews: bool = True):
        services = Services(ledger=ledger, open_client=no_client, store=store, clock=clock, previews=previews)
        collector = Collector(SimpleNamespace(name="w", services=services), None)
        collector._check_lease = lambda _: None
        order = orders.make(State.SUCCEEDED, "cat")
        path = tmp_path / "video.mp4"
        path.write_bytes(make_clip(codec=codec))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        delivery = inspect_delivery(Downloaded(path, path.stat().st_size, sha256))
        artifacts, _ = collector._put(order, delivery)
        return ledger.tasks.stored(order, actor="w", artifacts=artifacts)

    return collected


def test_a_video_in_hevc_gets_a_preview(collected, store, tmp_path):
    """A video in HEVC gets a preview beside it, which the manifest names; the video stays as delivered."""
    order = collected()
    assert order.preview_key == order.video_key.replace("video.mp4", "preview.mp4")
    assert order.preview_problem is None
    (tmp_path / "preview.mp4").write_bytes(store.objects[order.preview_key])
    assert probe_video(tmp_path / "preview.mp4").codec == "h264"
    assert (order.codec, hashlib.sha256(store.objects[order.video_key]).hexdigest()) == ("hevc", order.sha256)
    manifest = Manifest.model_validate_json(store.objects[order.manifest_key])
    assert manifest.preview_key == order.preview_key
    assert b"preview_problem" not in store.objects[order.manifest_key]


@pytest.mark.parametrize(("codec", "previews"), [("libx264", True), ("libx265", False)])
def test_no_preview_is_made_without_need(collected, store, codec, previews):
    """No preview is made of what browsers play, nor without the option."""
    order = collected(codec, previews=previews)
    assert (order.preview_key, order.preview_problem) == (None, None)
    assert [key for key in store.objects if "preview" in key] == []


@pytest.mark.parametrize(
    "error", [MediaError("no preview can be made"), StoreError("S3 refuses"), OSError("no process")]
)
def test_a_video_without_its_preview_is_stored(collected, store, monkeypatch, error):
    """A video without its preview is stored with its manifest, and the ledger keeps the reason."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(collect, "make_preview", fail)
    order = collected()
    assert (order.state, order.preview_key, order.preview_problem) == (State.STORED, None, str(error))
    assert {order.video_key, order.manifest_key} <= store.objects.keys()


def test_a_preview_is_an_object_of_its_order():
    """A preview belongs to its order, so that an audit finds no unmatched object."""
    keys = object_keys(PREFIX, "spots", "cat", "0123456789abcdef", 1)
    assert (order_folder(keys.preview).file, order_folder(keys.preview).partition) == ("preview", "cat")


def test_the_gallery_plays_the_preview(ledger, orders):
    """The gallery plays the preview in tiles and in the panel, and downloads the video itself."""
    plain = orders.make(State.STORED, "dog", artifacts={"preview_problem": "it takes too long"})
    order = orders.make(State.STORED, "cat", artifacts={"preview_key": "seedance/spots/cat/1-a1/preview.mp4"})
    client = Client(create_gallery(ledger, unreached_store()))
    tiles = client.get("/").text
    assert f'data-video="/media/{order.order_id}/preview"' in tiles
    assert f'data-video="/media/{plain.order_id}/video"' in tiles
    panel = client.get("/clip?set=spots&clip=cat").text
    assert f'<video src="/media/{order.order_id}/preview"' in panel
    assert f'<a href="/media/{order.order_id}/video" download=' in panel
    assert "none: it takes too long" in client.get("/clip?set=spots&clip=dog").text
    link = client.get(f"/media/{order.order_id}/preview").headers["location"]
    assert "/preview.mp4?" in link
    assert client.get(f"/media/{plain.order_id}/preview").status_code == 404
