"""The film, sound and colours of files as cameras, editors and encoders write them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from media_support import make_clip

from seedance_dagster.media.boxes import check_structure
from seedance_dagster.media.pictures import cut_poster
from seedance_dagster.media.properties import Sound
from seedance_dagster.media.video import probe

FILES = Path(__file__).parents[1] / "media"


def shades(jpeg: Path) -> list[int]:
    """Return how bright the quarters of a picture are, as they are read."""
    with av.open(str(jpeg), format="mjpeg") as container:
        frame = next(container.decode(video=0)).reformat(format="gray")
    plane, width, height = frame.planes[0], frame.width, frame.height
    rows = [bytes(plane)[y * plane.line_size :][:width] for y in range(height)]
    down, across = height // 2, width // 2
    return [
        sum(sum(row[columns]) for row in rows[lines])
        for lines in (slice(0, down), slice(down, height))
        for columns in (slice(0, across), slice(across, width))
    ]


@pytest.mark.parametrize("name", ["cover_before", "cover_after"])
def test_cover_art_is_not_the_film(name):
    """The film is found by what it is, wherever an attached picture stands (l3)."""
    properties = probe(FILES / f"{name}.mp4")
    assert (properties.codec, properties.duration_s, properties.width) == ("h264", 2.0, 160)
    assert cut_poster(FILES / f"{name}.mp4")[:2] == b"\xff\xd8"


@pytest.mark.parametrize("name", ["durations_zero", "durations_unknown"])
def test_a_header_without_durations_is_filled_in_from_the_packets(name):
    """A file that plays has the length that it plays for (l6)."""
    assert probe(FILES / f"{name}.mp4").duration_s == pytest.approx(2.0)


def with_field(clip: bytes, box: bytes, offset: int, *values: int) -> bytes:
    """Return an mp4 with other numbers of four bytes in the first box of a kind."""
    start = clip.index(box) + 4 + offset
    return clip[:start] + b"".join(value.to_bytes(4) for value in values) + clip[start + 4 * len(values) :]


def test_a_film_whose_key_frame_is_cut_off_is_read(tmp_path):
    """Editors cut a film by an edit list: players begin between two key frames (l6)."""
    path = tmp_path / "cut.mp4"
    clip = make_clip(frames=10)  # with a single key frame, the first
    time = int.from_bytes(clip[clip.index(b"elst") + 16 :][:4])
    path.write_bytes(with_field(clip, b"elst", 8, 250, time + 4 * 512))
    assert probe(path).duration_s == pytest.approx(0.25)
    assert cut_poster(path)[:2] == b"\xff\xd8"


def test_a_length_of_nothing_is_not_believed(tmp_path):
    """A header that states far less than the file holds is filled in from the packets (l6)."""
    path = tmp_path / "v.mp4"
    path.write_bytes(with_field(make_clip(), b"mdhd", 16, 1))
    assert probe(path).duration_s == pytest.approx(1.0)


def test_the_length_of_the_sound_is_not_the_film_s(tmp_path):
    """A film whose header has no length for it lasts as long as its frames do (l6)."""
    path = tmp_path / "v.mp4"
    path.write_bytes(with_field(make_clip(with_audio=True, more_audio=48), b"mdhd", 16, 0))
    assert probe(path).duration_s == pytest.approx(1.0, abs=0.05)


def test_a_turned_film_is_upright(tmp_path):
    """Size and poster are as a player shows them (l5)."""
    properties = probe(FILES / "rot90.mp4")
    assert (properties.width, properties.height) == (90, 160)
    poster = tmp_path / "poster.jpg"
    poster.write_bytes(cut_poster(FILES / "rot90.mp4"))
    top_left, top_right, bottom_left, bottom_right = shades(poster)
    # Its left half is bright as it is stored.
    assert min(top_left, top_right) > 3 * max(bottom_left, bottom_right)


@pytest.mark.parametrize(
    ("degrees", "size"), [(90, (48, 64)), (180, (64, 48)), (270, (48, 64)), (0, (64, 48))]
)
def test_a_film_may_be_turned_by_any_quarter(tmp_path, degrees, size):
    """Width and height change places at a quarter and at three (l5)."""
    path = tmp_path / "v.mp4"
    path.write_bytes(make_clip(turned=degrees))
    properties = probe(path)
    assert (properties.width, properties.height) == size
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.width == 64
    poster = tmp_path / "poster.jpg"
    poster.write_bytes(cut_poster(path))
    with av.open(str(poster), format="mjpeg") as container:
        context = container.streams.video[0].codec_context
        assert (context.width, context.height) == size


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(4, 3), (86, 48)), (Fraction(1, 2), (32, 48)), (Fraction(50), (64, 48))]
)
def test_pixels_that_are_not_square_are_stretched(tmp_path, aspect, size):
    """Size and poster have the shape that a player shows; an absurd one is ignored (l5)."""
    path = tmp_path / "v.mp4"
    path.write_bytes(make_clip(pixel_aspect=aspect))
    properties = probe(path)
    assert (properties.width, properties.height) == pytest.approx(size, abs=1)
    poster = tmp_path / "poster.jpg"
    poster.write_bytes(cut_poster(path))
    with av.open(str(poster), format="mjpeg") as container:
        context = container.streams.video[0].codec_context
        assert (context.width, context.height) == pytest.approx(size, abs=2)


@pytest.mark.parametrize(
    ("encoder", "pixels", "codec", "bits"),
    [
        ("libx264", "yuv420p", "h264", 8),
        ("libx265", "yuv420p10le", "hevc", 10),
        ("libsvtav1", "yuv420p", "av1", 8),
        ("libvpx-vp9", "yuv420p", "vp9", 8),
    ],
)
def test_codecs_have_their_standard_names(tmp_path, encoder, pixels, codec, bits):
    """The name does not depend on the decoder that is in use."""
    path = tmp_path / "v.mp4"
    path.write_bytes(make_clip(codec=encoder, pixels=pixels, frames=6))
    properties = probe(path)
    assert (properties.codec, properties.bit_depth, properties.hdr) == (codec, bits, None)


@pytest.mark.parametrize(("transfer", "hdr"), [(16, "pq"), (18, "hlg"), (1, None)])
def test_high_dynamic_range_is_recorded(tmp_path, transfer, hdr):
    """The transfer function says how bright the film is meant to be."""
    path = tmp_path / "v.mp4"
    path.write_bytes(make_clip(codec="libx265", pixels="yuv420p10le", transfer=transfer, frames=6))
    assert probe(path).hdr == hdr


@pytest.mark.parametrize(
    ("made", "sound"),
    [
        ({}, None),
        ({"with_audio": True}, Sound("aac", 1, silent=True)),
        ({"with_audio": True, "loud": True}, Sound("aac", 1, silent=False)),
    ],
)
def test_sound_is_recorded(tmp_path, made, sound):
    """A track without anything to hear is neither music nor no track."""
    path = tmp_path / "v.mp4"
    path.write_bytes(make_clip(**made))
    assert probe(path).sound == sound


def test_damaged_sound_leaves_the_film(tmp_path):
    """A film with damaged sound counts as neither silent nor loud."""
    path = tmp_path / "v.mp4"
    path.write_bytes(make_clip(with_audio=True).replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    properties = probe(path)
    assert properties.codec == "h264"
    assert properties.sound is not None
    assert properties.sound.silent is None


@pytest.mark.parametrize("name", ["cover_before", "durations_zero", "rot90"])
def test_odd_files_are_whole(name):
    """Odd files, as cameras and editors write them, are whole."""
    check_structure(FILES / f"{name}.mp4")
