"""Small real video files."""

from __future__ import annotations

import random
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

FPS = 24


def make_clip(
    *,
    frames: int = FPS,
    size: tuple[int, int] | None = (64, 48),
    with_audio: bool = False,
    codec: str = "libx264",
    empty: bool = False,
    metadata: dict[str, str] | None = None,
    **options: str,
) -> bytes:
    """Make an mp4 of noise with two key frames per second.

    Args:
        frames: At 24 a second.
        size: Width and height in pixels; None for no picture at all.
        with_audio: Whether it has an audio track of the same length.
        codec: FFmpeg's name of the video encoder.
        empty: The track for pictures holds none.
        metadata: Such as a title.
        options: Of the mp4 muxer, such as `movflags="+faststart"`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        _write(path, frames, size, with_audio, codec, empty, metadata or {}, options)
        return path.read_bytes()


def picture(width: int, height: int) -> av.VideoFrame:
    """Return a picture of noise, which hardly compresses."""
    return _picture(width, height, 0, random.Random(2))


def _write(
    path: Path,
    frames: int,
    size: tuple[int, int] | None,
    with_audio: bool,
    codec: str,
    empty: bool,
    metadata: dict[str, str],
    options: dict[str, str],
) -> None:
    noise = random.Random(1)
    with av.open(str(path), "w", format="mp4", options=options) as container:
        container.metadata.update(metadata)
        video: Any = None
        if size is not None:
            video = container.add_stream(codec, rate=FPS)
            video.options = {"preset": "ultrafast"}
            video.width, video.height = size
            video.pix_fmt = "yuv420p"
            video.codec_context.gop_size = FPS // 2
        audio: Any = container.add_stream("aac", rate=44100, layout="mono") if with_audio else None
        for position in range(frames):
            if video is not None and not empty:
                container.mux(video.encode(_picture(*size or (2, 2), position, noise)))
            if audio is not None:
                container.mux(audio.encode(_silence(position)))
        for stream in (video, audio):
            if stream is not None and not (empty and stream is video):
                container.mux(stream.encode(None))


def _picture(width: int, height: int, position: int, noise: random.Random) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(noise.randbytes(plane.buffer_size))
    frame.pts, frame.time_base = position, Fraction(1, FPS)
    return frame


def _silence(position: int) -> av.AudioFrame:
    samples = 44100 // FPS
    frame = av.AudioFrame(format="fltp", layout="mono", samples=samples)
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    frame.sample_rate = 44100
    frame.pts, frame.time_base = position * samples, Fraction(1, 44100)
    return frame
