"""The pictures of a video, decoded once for all measures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.film import film_stream, open_decoder, pixel_aspect, turn
from seedance_dagster.media.video import open_mp4
from seedance_dagster.scores.errors import ScoreError

Picture = NDArray[np.uint8]

MAX_SECONDS = 30
_MAX_FRAMES = 1800
_GRAY_SIDE, _COLOR_SIDE, _MIN_SIDE = 256, 1280, 16  # pixels
_STEPS_PER_SECOND = 8
_USUAL_RATE = Fraction(24)


@dataclass(frozen=True)
class Film:
    """The frames of a video, upright and with square pixels; at most those of the first 30 s.

    Attributes:
        times: Seconds at which the frames are shown.
        gray: All frames, small and without color.
        steps: Positions of frames that are an eighth of a second apart.
        pictures: A frame of each second, larger and in color.
    """

    times: NDArray[np.float64]
    gray: Picture
    steps: list[int]
    pictures: list[Picture]


def read_film(content: bytes) -> Film:
    """Decode the pictures of an mp4.

    Raises:
        ScoreError: No picture can be decoded.
    """
    try:
        with open_mp4(io.BytesIO(content)) as container:
            stream = film_stream(container)
            open_decoder(stream)
            frames = _timed(container.decode(stream), stream.average_rate or _USUAL_RATE)
            return _read(frames, pixel_aspect(stream))
    except MediaError as error:
        raise ScoreError(f"the video cannot be measured: {error}") from None
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise ScoreError(f"the video cannot be decoded: {type(error).__name__}") from None


class Scaler:
    """A maker of small upright pictures of frames.

    Args:
        side: The most pixels of the longer side.
        pixels: FFmpeg's name of the format, "gray" or "rgb24".
        aspect: The width of the frames' pixels divided by their height.
    """

    def __init__(self, side: int, pixels: str, aspect: Fraction = Fraction(1)) -> None:
        self._side, self._pixels, self._aspect = side, pixels, aspect
        self._size: tuple[int, int] | None = None
        self._reformatter = VideoReformatter()  # a frame's own one would be set up for each frame

    def picture(self, frame: VideoFrame) -> Picture:
        """Return a frame as an array of height, width and, with colors, three; all as large as the first."""
        self._size = self._size or self._fitted(frame)
        small = self._reformatter.reformat(
            frame,
            *self._size,
            self._pixels,
            # Unless it is asked, FFmpeg leaves the range from 16 to 235 where it only drops the colors.
            dst_color_range="JPEG",
            threads=1,
        )
        return np.rot90(small.to_ndarray(), -turn(frame) // 90).astype(np.uint8)

    def _fitted(self, frame: VideoFrame) -> tuple[int, int]:
        shown_width = float(frame.width * self._aspect)
        scale = min(1.0, self._side / max(shown_width, frame.height))
        width, height = (max(_MIN_SIDE, round(length * scale)) for length in (shown_width, frame.height))
        return width, height


def _timed(frames: Iterable[VideoFrame], rate: Fraction) -> Iterator[tuple[float, VideoFrame]]:
    """Yield frames with their seconds since the first one, up to the limits of a film."""
    start: float | None = None
    for number, frame in enumerate(frames):
        shown = float(number / rate) if frame.pts is None else frame.time
        start = shown if start is None else start
        if number >= _MAX_FRAMES or shown - start >= MAX_SECONDS:
            return
        yield shown - start, frame


def _read(frames: Iterable[tuple[float, VideoFrame]], aspect: Fraction) -> Film:
    grays, colors = Scaler(_GRAY_SIDE, "gray", aspect), Scaler(_COLOR_SIDE, "rgb24", aspect)
    times: list[float] = []
    gray: list[Picture] = []
    steps: list[int] = []
    pictures: list[Picture] = []
    for number, (time, frame) in enumerate(frames):
        times.append(time)
        gray.append(grays.picture(frame))
        if time >= len(steps) / _STEPS_PER_SECOND:
            steps.append(number)
        if time >= len(pictures):
            pictures.append(colors.picture(frame))
    if not times:
        raise MediaError("the file has no frames")
    return Film(np.array(times), np.stack(gray), steps, pictures)
