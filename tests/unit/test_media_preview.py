"""Previews: which videos need one, that every browser plays it, and that a bad file is only a reason."""

from __future__ import annotations

import sys
from fractions import Fraction

import pytest
from media_support import make_clip

from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.inspection import probe_video
from seedance_dagster.media.preview import PREVIEWERS, make_preview, needs_preview
from seedance_dagster.media.properties import Probe

HEVC = {"codec": "libx265", "pixels": "yuv420p10le"}


def preview_of(tmp_path, content: bytes) -> Probe:
    video, preview = tmp_path / "video.mp4", tmp_path / "preview.mp4"
    video.write_bytes(content)
    make_preview(video, preview)
    return probe_video(preview)


@pytest.mark.parametrize(
    ("codec", "bit_depth", "needed"),
    [("h264", 8, False), ("h264", None, False), ("h264", 10, True), ("hevc", 8, True), ("av1", 8, True)],
)
def test_every_browser_plays_h264_of_8_bits(codec, bit_depth, needed):
    """H.264 of 8 bits needs no preview, and everything else does."""
    assert needs_preview(Probe(4.0, 864, 480, codec, 1, bit_depth=bit_depth)) is needed


def test_a_preview_has_720_lines_at_the_most(tmp_path):
    """A preview has at most 720 lines, with the video's frame rate, length and sound."""
    clip = make_clip(size=(1312, 738), frames=12, with_audio=True, loud=True, **HEVC)
    probe = preview_of(tmp_path, clip)
    assert (probe.codec, probe.bit_depth, probe.width, probe.height) == ("h264", 8, 1280, 720)
    assert (probe.fps, probe.sound.codec, probe.sound.silent) == (24.0, "aac", False)
    assert probe.duration_s == pytest.approx(0.5, abs=0.05)
    assert not needs_preview(probe)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"size": (320, 180)}, (320, 180)),
        ({"size": (320, 180), "turned": 90}, (180, 320)),
        ({"size": (320, 180), "pixel_aspect": Fraction(4, 3)}, (427, 180)),
        ({"size": (720, 1280)}, (720, 1280)),
    ],
    ids=["small", "turned", "wide pixels", "upright"],
)
def test_a_preview_is_shown_as_the_video_is(tmp_path, options, size):
    """A preview is upright, in the shape of its video, and never larger."""
    probe = preview_of(tmp_path, make_clip(frames=6, **HEVC, **options))
    assert (probe.width, probe.height) == size


@pytest.mark.parametrize(
    "content", [b"no video", make_clip(size=None, with_audio=True)], ids=["text", "sound"]
)
def test_a_file_without_a_film_has_no_preview(tmp_path, content):
    """A file without a film has no preview, and the reason is a sentence."""
    with pytest.raises(MediaError, match=r"no preview can be made|the file has no video stream"):
        preview_of(tmp_path, content)


@pytest.mark.further
def test_the_end_of_the_process_is_a_reason(tmp_path, monkeypatch):
    """A file that crashes its reader has no preview."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)"
    monkeypatch.setattr(PREVIEWERS, "command", (sys.executable, "-c", code))
    PREVIEWERS.close()
    with pytest.raises(MediaError, match="more than 300 s of CPU time"):
        preview_of(tmp_path, b"")
