"""The posters of the newest videos in one picture."""

from __future__ import annotations

import hashlib
import io

import av
import pytest
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster.defs.steps.index import index_metadata
from seedance_dagster.engine.indexing import refresh_index
from seedance_dagster.engine.newest_posters import newest_posters
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.media.contact_sheet import contact_sheet
from seedance_dagster.media.pictures import to_jpeg


def poster(shade: int, width: int = 640, height: int = 360) -> bytes:
    """Return a JPEG of one grey."""
    frame = av.VideoFrame(width, height, "gray8")
    frame.planes[0].update(bytes([shade]) * frame.planes[0].buffer_size)
    return to_jpeg(frame, width, quality=4)


def cells(sheet: bytes) -> tuple[tuple[int, int], list[int]]:
    """Return the size of a sheet and the grey in the middle of each of its cells."""
    with av.open(io.BytesIO(sheet), "r", format="mjpeg") as container:
        frame = next(container.decode(video=0))
    plane = frame.reformat(format="gray8").planes[0]
    grey = bytes(plane)
    middles = [
        (top + 45) * plane.line_size + left + 80
        for top in range(0, frame.height, 94)
        for left in range(0, frame.width, 164)
    ]
    return (frame.width, frame.height), [grey[middle] for middle in middles]


def test_pictures_stand_in_rows_of_six():
    """Pictures of any shape stand in order in rows of six; without any picture there is no sheet."""
    shades = [20, 60, 100, 140, 180, 220, 240, 90]
    shapes = [(640, 360), (360, 640), (1280, 720), (200, 200)]
    made = [poster(shade, *shapes[number % 4]) for number, shade in enumerate(shades)]
    size, drawn = cells(contact_sheet([*made[:4], b"no picture", *made[4:]]))
    assert size == (6 * 160 + 5 * 4, 2 * 90 + 4)
    assert [abs(seen - shade) < 6 for seen, shade in zip(drawn, shades, strict=False)] == [True] * 8
    assert contact_sheet([b"no picture"]) is None


def test_an_index_shows_the_newest_videos(ledger, clock):
    """At most 24 posters are shown, the newest first, without lost or changed ones."""
    orders = OrderFactory(ledger, clock, paced=True, prefix="p")
    store = MemoryStore(prefix="p")
    services = Services(ledger=ledger, open_client=lambda: None, store=store, clock=clock)
    assert newest_posters(services, "spots") is None
    for number in range(27):
        body = poster(number * 9 + 4)
        facts = {"poster_sha256": hashlib.sha256(body).hexdigest()}
        order = orders.make(State.STORED, f"p{number}", artifacts=facts)
        store.objects[order.poster_key] = body if number != 25 else poster(0)
    drawn = cells(newest_posters(services, "spots"))[1]
    wanted = [number * 9 + 4 for number in (26, *range(24, 2, -1))]
    assert [abs(seen - shade) < 6 for seen, shade in zip(drawn, wanted, strict=False)] == [True] * 23
    written = refresh_index(services, "spots", owner="w")
    picture = index_metadata(written, services)["seedance/newest"].value
    assert picture.startswith("![newest videos](data:image/jpeg;base64,")
    assert len(picture) < 200_000


@pytest.mark.long
def test_a_sheet_of_noise_is_small_enough(tmp_path):
    """24 pictures of noise fit into 100 kB."""
    import random

    noise = random.Random(1)
    frame = av.VideoFrame(640, 360, "gray8")
    frame.planes[0].update(noise.randbytes(frame.planes[0].buffer_size))
    sheet = contact_sheet([to_jpeg(frame, 640, quality=2)] * 24)
    assert sheet is not None
    assert len(sheet) <= 100_000
