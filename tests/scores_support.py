"""Small clips made from arrays, with a known amount of what a score measures."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from seedance_dagster.scores.builtin.measures import MEASURES
from seedance_dagster.scores.clip import Clip

FPS, SIZE = 24, 64
RATE = 48_000
Array = NDArray[Any]


@cache
def texture(seed: int = 1, size: tuple[int, int] = (SIZE, SIZE), *, low: int = 20, high: int = 235) -> Array:
    """Return a gray picture of rectangles, the same for the same seed."""
    noise = np.random.default_rng(seed)
    picture = np.full(size, float(low + high) / 2)
    for _ in range(60):
        top, left = noise.integers(0, size[0]), noise.integers(0, size[1])
        height, width = noise.integers(3, 16, 2)
        picture[top : top + height, left : left + width] = noise.integers(low, high)
    picture.flags.writeable = False  # all tests share it
    return picture


def make_film(
    frames: Iterable[Array],
    *,
    sound: Array | None = None,
    turned: int = 0,
    crf: int = 18,
    pixel_aspect: Fraction | None = None,
) -> bytes:
    """Make an mp4 of pictures, gray or RGB, at 24 a second.

    Args:
        frames: Arrays of 0 to 255.
        sound: Samples from -1 to 1, at 48 kHz; one row for each channel.
        turned: The degrees by which a player turns it clockwise.
        crf: The quality, from 0 (best) to 51.
        pixel_aspect: The shape of the pixels.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        pictures = [_frame(picture, number) for number, picture in enumerate(frames)]
        video: Any = container.add_stream("libx264", rate=FPS)
        video.options = {"preset": "ultrafast", "crf": str(crf)}
        video.width, video.height, video.pix_fmt = pictures[0].width, pictures[0].height, "yuv444p"
        if turned:
            video.set_display_rotation(-turned)
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        layout = "mono" if sound is None or len(sound) == 1 else "stereo"
        audio: Any = None if sound is None else container.add_stream("aac", rate=RATE, layout=layout)
        for picture in pictures:
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if sound is not None:
            for start in range(0, sound.shape[1], 1024):
                container.mux(audio.encode(_sound(sound[:, start : start + 1024], start, layout)))
            container.mux(audio.encode(None))
    return file.getvalue()


def sine(seconds: float = 1, loudness: float = 0.5, channels: int = 1) -> Array:
    """Return a tone of 1 kHz whose peak is the loudness."""
    wave = loudness * np.sin(2 * np.pi * 1000 * np.arange(int(seconds * RATE)) / RATE)
    return np.tile(wave.astype(np.float32), (channels, 1))


def measured(name: str, content: bytes) -> Any:
    """Return a built-in score of a clip."""
    return MEASURES[name](Clip(content))


def values(name: str, make: Callable[[int], bytes], grades: Sequence[int] = range(10)) -> list[float]:
    """Return a built-in score of each graded clip."""
    return [measured(name, make(grade)) for grade in grades]


def rising(numbers: Sequence[float], *, by: float = 0.0) -> bool:
    """Return True where each number is greater than the one before it."""
    return all(after - before > by for before, after in pairwise(numbers))


def _frame(picture: Array, number: int) -> av.VideoFrame:
    colors = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(colors.clip(0, 255).astype(np.uint8)))
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _sound(samples: Array, start: int, layout: str) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
    return frame
