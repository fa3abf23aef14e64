"""Likeness of the first frame to the image that a video was asked to begin with."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import av
import numpy as np
import pytest
from dataset_support import Shop
from factories import REQUEST
from PIL import Image
from reference_host import running_reference_files
from scores_support import make_film, rising, texture

from seedance_dagster.datasets.video import Video, load_videos
from seedance_dagster.ledger.order import State
from seedance_dagster.media.references.fetch import fetch_reference
from seedance_dagster.media.references.host import UnusableReferenceError
from seedance_dagster.scores.builtin.first_frame import first_frame_match
from seedance_dagster.scores.catalog import BUILTIN
from seedance_dagster.scores.clip import Clip
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.keys import reference_key
from seedance_dagster.storage.manifest import Manifest

SCENE = texture(1, (72, 128))


def image(picture=SCENE, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).convert("RGB").save(file, form)
    return file.getvalue()


def match(frame, reference: bytes | None) -> float | None:
    return first_frame_match(Clip(make_film([frame] * 2), lambda: reference))


def test_likeness_falls_with_what_differs():
    """Ten first frames that hold more and more of something else are ordered, from 1 downwards."""
    other = texture(2, (72, 128))
    grades = [match(SCENE * (1 - part / 10) + other * part / 10, image()) for part in range(10)]
    assert rising(grades[::-1])
    assert grades[0] > 0.98
    assert match(other, image()) < 0.3


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP"])
def test_images_of_all_types_that_the_vendor_takes_are_compared(form):
    """Size, type and a crop to the video's shape do not matter."""
    large = np.kron(np.vstack([SCENE[:8], SCENE, SCENE[-8:]]), np.ones((3, 3)))
    assert match(SCENE, image(large, form)) > 0.9


def test_a_video_without_such_an_image_has_no_value():
    """Text alone gives nothing to compare."""
    assert match(SCENE, None) is None


@pytest.mark.parametrize("content", [b"", b"#EXTM3U\nfile:///etc/passwd", image()[:60], image(form="GIF")])
def test_what_is_not_an_image_is_said(content):
    """An unreadable image is an error in words, and no playlist is followed."""
    with pytest.raises(ScoreError, match="the first frame's image"):
        match(SCENE, content)


@pytest.fixture
def shop(orders) -> Shop:
    return Shop(orders)


def made_from(shop: Shop, url: str, *, mode: str = "first_last_frames", **facts: Any) -> Video:
    """Store a video that was made from an image; its first frame is the scene."""
    content = make_film([SCENE] * 2)
    request = REQUEST | {"mode": mode, "image_urls": [url]}
    known = [{"kind": "image", "position": 1, "media_type": "image/png", **facts}]
    sums = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    order = shop.orders.make(State.STORED, request=request, reference_facts=known, artifacts=sums)
    shop.store.objects[str(order.video_key)] = content
    shop.store.objects[str(order.manifest_key)] = Manifest.of(order).to_json()
    return load_videos(shop.ledger, shop.store, "spots")["cat"]


def own_file(shop: Shop) -> str:
    """Put an image into the store as a run does, and return its SHA-256."""
    sha256 = hashlib.sha256(image()).hexdigest()
    shop.store.objects[reference_key(shop.store.prefix, sha256, ".png")] = image()
    return sha256


def test_a_file_of_the_teams_own_is_read_from_its_copy(shop):
    """The copy that was made before the order counts, whatever became of the file."""
    sha256 = own_file(shop)
    video = made_from(shop, f"references/cat.png#sha256={sha256}", sha256=sha256)
    assert video.first_frame() == image()
    assert BUILTIN["first_frame_match"].measure(video)["first_frame_match"] > 0.98


def test_other_modes_have_no_first_frame(shop):
    """References of other modes may appear anywhere."""
    video = made_from(shop, "https://cdn.example.com/cat.png", mode="omni_reference")
    assert video.first_frame() is None
    assert BUILTIN["first_frame_match"].measure(video) == {}


def test_an_image_that_changed_or_is_gone_is_said(shop, monkeypatch):
    """The message names the reference and what is wrong with it."""
    link = "https://cdn.example.com/cat.png"
    video = made_from(shop, link, sha256="0" * 64)
    monkeypatch.setattr("seedance_dagster.datasets.first_frame.fetch_reference", lambda url: image())
    with pytest.raises(StoreError, match=r"image_urls 1 \(https://cdn.example.com/cat.png\) has changed"):
        video.first_frame()
    monkeypatch.undo()
    local = made_from(shop, "http://127.0.0.1:9/cat.png")
    with pytest.raises(ScoreError, match=r"image_urls 1 \(http://127.0.0.1:9/cat.png\) is not followed"):
        BUILTIN["first_frame_match"].measure(local)


def test_a_public_link_is_read():
    """A file is read whole; a missing or private one is an error that says so."""
    with running_reference_files() as host:
        url = host.put("/cat.png", image())
        assert fetch_reference(url, allow_private=True) == image()
        with pytest.raises(UnusableReferenceError, match="is not followed"):
            fetch_reference(url)
        with pytest.raises(UnusableReferenceError, match="does not exist"):
            fetch_reference(host.put("/dog.png", status=404), allow_private=True)
        with pytest.raises(UnusableReferenceError, match=r"is larger than 30\.0 MB"):
            fetch_reference(host.put("/cat.mp4", image() + bytes(31 * 1024**2)), allow_private=True)


def test_pixels_of_a_decoded_image_are_those_of_the_file():
    """A picture from FFmpeg has the colors that Pillow wrote."""
    with av.open(io.BytesIO(image()), format="png_pipe") as container:
        assert np.array_equal(next(container.decode(video=0)).to_ndarray()[..., 0], SCENE.astype(np.uint8))
