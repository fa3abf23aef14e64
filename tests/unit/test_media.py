"""Inspection of video files: whole ones, damaged ones, and other files."""

from __future__ import annotations

import io
import random

import av
import pytest
from media_support import make_clip, picture

from seedance_dagster.emulator.clip import render_clip
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.pictures import cut_poster, thumbnail, to_jpeg
from seedance_dagster.media.properties import Probe, Sound
from seedance_dagster.media.video import probe

FRONT = {"movflags": "+faststart"}
GARBAGE = random.Random(3).randbytes(200_000)


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Two seconds with audio, the index in front."""
    return make_clip(frames=48, with_audio=True, **FRONT)


@pytest.fixture
def file(tmp_path):
    """Return a function that writes bytes to a file and returns its path."""

    def write(data: bytes):
        path = tmp_path / "video.mp4"
        path.write_bytes(data)
        return path

    return write


def size_of(jpeg: bytes) -> tuple[int, int]:
    with av.open(io.BytesIO(jpeg), format="mjpeg") as container:
        context = container.streams.video[0].codec_context
        return context.width, context.height


@pytest.mark.parametrize(
    "made",
    [
        {},
        FRONT,
        {"with_audio": True},
        {"size": (48, 64), "codec": "mpeg4"},
        {"movflags": "+frag_keyframe+empty_moov"},
        {"metadata": {"comment": "小猫"}},
    ],
)
def test_a_whole_video_is_probed(file, made):
    """Length, size, codec and frame rate of whole files are read, wherever their index is."""
    path = file(make_clip(frames=30, **made))
    codec = {"libx264": "h264"}.get(made.get("codec", "libx264"), "mpeg4")
    sound = Sound("aac", 1, silent=True) if made.get("with_audio") else None
    width, height = made.get("size", (64, 48))
    properties = probe(path)
    assert properties == Probe(
        properties.duration_s, width, height, codec, path.stat().st_size, 24.0, 8, None, sound
    )
    assert properties.duration_s == pytest.approx(1.25, abs=0.05)


def test_hevc_with_ten_bits_is_probed_and_has_a_poster(file):
    """The newest model's videos are read like all others."""
    clip = render_clip(
        task_id="07ed43de-465d-43b1-b62c-44249b14d818",
        prompt="a cat",
        title="emulated",
        duration=4,
        aspect_ratio="16:9",
        resolution="720p",
        codec="hevc",
    )
    path = file(clip)
    properties = probe(path)
    assert properties == Probe(properties.duration_s, 1280, 720, "hevc", len(clip), 24.0, 10)
    assert properties.duration_s == pytest.approx(97 / 24, abs=0.01)
    assert size_of(cut_poster(path)) == (1280, 720)


def test_metadata_in_another_encoding_is_accepted(file):
    """A video whose title is not UTF-8 is valid."""
    data = make_clip(metadata={"title": "caf\u00e9\u00e9"})
    assert probe(file(data.replace("\u00e9".encode(), b"\xe9\xff"))).width == 64


@pytest.mark.parametrize("cut", [1, 100, 2_000, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_file_that_ends_early_is_refused(file, clip, cut):
    """A file that is cut anywhere, in bytes from its end or as a share of it, is not a whole video."""
    keep = len(clip) - cut if cut >= 1 else int(len(clip) * cut)
    with pytest.raises(MediaError):
        probe(file(clip[:keep]))


def test_a_file_cut_between_two_packets_is_refused(file, monkeypatch):
    """A file that declares more seconds than it holds is refused, even if each packet is whole."""
    monkeypatch.setattr("seedance_dagster.media.video.declared_duration", lambda *_: 2.0)
    with pytest.raises(MediaError, match=r"declares 2.0 s but holds 1.0 s"):
        probe(file(make_clip()))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("filling", [GARBAGE, bytes(len(GARBAGE))], ids=["noise", "zeros"])
def test_a_valid_index_with_other_data_is_refused(file, clip, share, filling):
    """A valid index with other data in place of frames, from any point on, is not a video."""
    start = clip.index(b"mdat") + 4
    start += int((len(clip) - start) * share)
    with pytest.raises(MediaError, match=r"not a playable video|damaged data"):
        probe(file(clip[:start] + filling[: len(clip) - start]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a playable video"),
        (b"<html>not here</html>", "not a playable video"),
        (GARBAGE, "not a playable video|no video stream"),
        (b"\0\0\0\x18ftypisom" + GARBAGE, "not a playable video|no video stream"),
        (b"#EXTM3U\n#EXTINF:1\nfile:///etc/hostname\n", "not a playable video"),
    ],
    ids=["empty", "page", "noise", "a header and noise", "a playlist"],
)
def test_other_files_are_refused(file, data, words):
    """Other files are refused with a reason, and none is read as another format."""
    with pytest.raises(MediaError, match=words):
        probe(file(data))
    with pytest.raises(MediaError):
        cut_poster(file(data))


def test_audio_alone_is_not_a_video(file):
    """A file without a video stream is refused."""
    path = file(make_clip(size=None, with_audio=True))
    with pytest.raises(MediaError, match="no video stream"):
        probe(path)
    with pytest.raises(MediaError, match="no video stream"):
        cut_poster(path)


def test_an_unknown_codec_is_reported(file, clip):
    """A whole file that cannot be decoded is reported, so that its order is postponed with a reason."""
    with pytest.raises(MediaError, match="codec is not supported"):
        probe(file(clip.replace(b"avc1", b"zzzz")))


def test_an_empty_video_track_is_refused(file):
    """A file with a video track without frames is refused and has no poster."""
    path = file(make_clip(with_audio=True, empty=True))
    with pytest.raises(MediaError):
        probe(path)
    with pytest.raises(MediaError):
        cut_poster(path)


def test_a_missing_file_is_reported(tmp_path):
    """A file that does not exist raises the error of other unreadable files."""
    with pytest.raises(MediaError, match="FileNotFoundError"):
        probe(tmp_path / "none.mp4")


@pytest.mark.parametrize(
    ("size", "expected"), [((64, 48), (64, 48)), ((1600, 900), (1280, 720)), ((900, 1600), (900, 1600))]
)
def test_a_poster_is_a_frame_no_wider_than_1280_pixels(file, size, expected):
    """The poster keeps the video's shape and is never enlarged."""
    poster = cut_poster(file(make_clip(frames=2, size=size)))
    assert poster.startswith(b"\xff\xd8")
    assert size_of(poster) == expected


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        ((1280, 720), {480}),
        ((720, 1280), {480, 320}),
        ((320, 180), {320, 200, 120}),
        ((480, 2000), {480, 320, 200, 120}),
        ((2000, 300), {480}),
        ((2, 2), {2}),
        ((1, 1), {2}),
    ],
)
def test_a_thumbnail_is_small_whatever_the_picture(size, widths):
    """A thumbnail has at most 24 kB and 480 pixels of width, even of noise, which does not compress."""
    small = thumbnail(to_jpeg(picture(*size), 4000, quality=4))
    assert len(small) <= 24_000
    width, height = size_of(small)
    assert width in widths
    assert height == pytest.approx(size[1] * width / size[0], abs=2)


def test_other_bytes_have_no_thumbnail():
    """Bytes that are not a picture, or one that stays large, are refused with a reason."""
    with pytest.raises(MediaError, match="no thumbnail can be made"):
        thumbnail(b"no picture")
    with pytest.raises(MediaError, match="no thumbnail of 24 kB"):
        thumbnail(to_jpeg(picture(130, 4000), 4000, quality=4))
