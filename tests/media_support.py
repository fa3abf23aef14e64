"""Small real video files."""

from __future__ import annotations

import random
import tempfile
from array import array
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

FPS = 24
_FAST = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:crf=51"},
}


def make_clip(
    *,
    frames: int = FPS,
    size: tuple[int, int] | None = (64, 48),
    with_audio: bool = False,
    more_audio: int = 0,
    codec: str = "libx264",
    empty: bool = False,
    loud: bool = False,
    turned: int = 0,
    pixel_aspect: Fraction | None = None,
    pixels: str = "yuv420p",
    transfer: int | None = None,
    metadata: dict[str, str] | None = None,
    **options: str,
) -> bytes:
    """Make an mp4 of noise with two key frames per second.

    Args:
        frames: At 24 a second.
        size: Width and height in pixels; None for no picture at all.
        with_audio: Add an audio track of the same length.
        more_audio: For how many frames the audio goes on after the last picture.
        codec: FFmpeg's name of the video encoder.
        empty: The track for pictures holds none.
        loud: The audio track holds noise.
        turned: The degrees by which a player turns it clockwise.
        pixel_aspect: The shape of its pixels.
        pixels: FFmpeg's name of their format.
        transfer: The number of the transfer function.
        metadata: Such as a title.
        options: Of the mp4 muxer, such as `movflags="+faststart"`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        noise = random.Random(1)
        with av.open(str(path), "w", format="mp4", options=options) as container:
            container.metadata.update(metadata or {})
            video: Any = None
            if size is not None:
                video = container.add_stream(codec, rate=FPS)
                video.options = _FAST.get(codec, {})
                video.width, video.height = size
                video.pix_fmt = pixels
                video.codec_context.gop_size = FPS // 2
                if turned:
                    video.set_display_rotation(-turned)
                if pixel_aspect is not None:
                    video.codec_context.sample_aspect_ratio = pixel_aspect
                if transfer is not None:
                    video.codec_context.color_trc = transfer
            audio: Any = container.add_stream("aac", rate=44100, layout="mono") if with_audio else None
            for position in range(frames + more_audio):
                if video is not None and not empty and position < frames:
                    picture = _picture(*size or (2, 2), position, noise)
                    container.mux(video.encode(picture.reformat(format=pixels)))
                if audio is not None:
                    container.mux(audio.encode(_sound(position, noise if loud else None)))
            for stream in (video, audio):
                if stream is not None and not (empty and stream is video):
                    container.mux(stream.encode(None))
        return path.read_bytes()


def picture(width: int, height: int) -> av.VideoFrame:
    """Return a picture of noise, which hardly compresses."""
    return _picture(width, height, 0, random.Random(2))


def _picture(width: int, height: int, position: int, noise: random.Random) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(noise.randbytes(plane.buffer_size))
    frame.pts, frame.time_base = position, Fraction(1, FPS)
    return frame


def _sound(position: int, noise: random.Random | None) -> av.AudioFrame:
    samples = 44100 // FPS
    frame = av.AudioFrame(format="fltp", layout="mono", samples=samples)
    plane = frame.planes[0]
    values = [noise.uniform(-0.5, 0.5) if noise else 0.0 for _ in range(plane.buffer_size // 4)]
    plane.update(array("f", values).tobytes())
    frame.sample_rate = 44100
    frame.pts, frame.time_base = position * samples, Fraction(1, 44100)
    return frame
