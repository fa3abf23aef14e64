"""Videos that are made to exhaust whatever reads them: each is answered in bounded time and memory."""

from __future__ import annotations

import contextlib
import re
import struct
import time

import pytest
from media_support import make_clip

from seedance_dagster.engine.stages.delivery import inspect_delivery
from seedance_dagster.engine.stages.download import Downloaded
from seedance_dagster.media.boxes import check_structure
from seedance_dagster.media.errors import MediaError

CPU_S = 5.0


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def with_index(index: bytes) -> bytes:
    return box(b"ftyp", b"isom" + bytes(4) + b"isom") + box(b"moov", index) + box(b"mdat", bytes(64))


def replaced(data: bytes, kind: bytes, content: bytes) -> bytes:
    """Return a video with another content of a box, whose size stays, so the offsets do."""
    start = data.index(kind) + 4
    return data[:start] + content + data[start + len(content) :]


def many_samples() -> bytes:
    """A film whose 60 bytes of tables announce 120 million frames of one byte."""
    data = make_clip(frames=12, movflags="+faststart")
    count = 120_000_000
    data = replaced(data, b"stsz", struct.pack(">III", 0, 1, count))
    data = replaced(data, b"stsc", struct.pack(">IIIII", 0, 1, 1, count, 1))
    data = replaced(data, b"stco", struct.pack(">III", 0, 1, 48))
    return replaced(data, b"stts", struct.pack(">IIII", 0, 1, count, 1))


def huge_picture() -> bytes:
    """A film whose pictures say that they are 65,000 pixels wide and high."""
    data = make_clip(frames=2, codec="mjpeg", pixels="yuvj420p")
    size = re.compile(rb"(?<=\xff\xc0\0\x11\x08)....", re.DOTALL)
    assert size.search(data)
    return size.sub(lambda _: struct.pack(">HH", 65_000, 65_000), data)


FILES = {
    "100,000 tracks": lambda: with_index(box(b"trak", box(b"mdia", b"")) * 100_000),
    "100,000 whole tracks": lambda: tracks(100_000),
    "3 million boxes": lambda: with_index(box(b"free", b"") * 3_000_000),
    "16 million offsets": lambda: with_index(
        box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", box(b"stco", bytes(63_000_000))))))
    ),
    "nested boxes": lambda: with_index(nested(100_000)),
    "120 million frames": many_samples,
    "huge pictures": huge_picture,
}


def tracks(count: int) -> bytes:
    """A video with many copies of its one track."""
    data = make_clip(frames=4)
    index = data[data.index(b"moov") - 4 :]
    start = index.index(b"trak") - 4
    track = index[start : start + int.from_bytes(index[start : start + 4])]
    return data[: data.index(b"moov") - 4] + box(b"moov", index[8:start] + track * count)


def nested(depth: int) -> bytes:
    """Boxes in boxes."""
    return b"".join(struct.pack(">I", 8 * (depth - level)) + b"trak" for level in range(depth))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", FILES)
def test_a_hostile_video_is_answered(tmp_path, name):
    """A hostile video is stored and flagged, or refused in words, within bounded time of this process."""
    path = tmp_path / "v.mp4"
    content = FILES[name]()
    path.write_bytes(content)
    start = time.process_time()
    with contextlib.suppress(MediaError):
        inspection = inspect_delivery(Downloaded(path, len(content), "ab" * 32)).inspection
        assert inspection.probe is not None or inspection.problem
    assert time.process_time() - start < CPU_S


@pytest.mark.parametrize("entry", [b"stco", b"co64"])
def test_an_index_of_millions_of_offsets_is_read_at_once(tmp_path, entry):
    """An index of millions of offsets, the last beyond the end of the file, is read at once."""
    table = bytes(8_000_000) + b"\xff" * 8
    path = tmp_path / "v.mp4"
    path.write_bytes(with_index(box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", box(entry, table)))))))
    with pytest.raises(MediaError, match="points beyond its end"):
        check_structure(path)
