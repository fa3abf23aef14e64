"""Posters and thumbnails: frames of a video as JPEG, upright and with square pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av import VideoFrame

from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.film import film_stream, open_decoder, pixel_aspect, turn
from seedance_dagster.media.video import declared_duration, open_mp4

_POSTER_WIDTH = 1280
_THUMBNAIL_BYTES = 24_000
# Width in pixels and FFmpeg's quality; the first that fits is taken, and only noise needs the last ones.
_THUMBNAIL_SIZES = ((480, 6), (480, 12), (480, 20), (320, 20), (320, 31), (200, 31), (120, 31))
# FFmpeg's filters that turn a frame clockwise, by degrees.
_TURNS: dict[int, Sequence[tuple[str, str | None]]] = {
    90: [("transpose", "clock")],
    180: [("hflip", None), ("vflip", None)],
    270: [("transpose", "cclock")],
}


def cut_poster(path: Path) -> bytes:
    """Return a JPEG of the frame in the middle of a video, at most 1280 pixels wide.

    Raises:
        MediaError: No frame can be decoded.
    """
    try:
        with open_mp4(path) as container:
            stream = film_stream(container)
            open_decoder(stream)
            middle = int((declared_duration(stream, container) or 0) / 2 * av.time_base)
            container.seek(middle, backward=True)
            frame = next(container.decode(stream), None)
            if frame is None:
                raise MediaError("the file has no frames")
            aspect = pixel_aspect(stream)
            degrees = turn(frame)
            picture = filtered([frame], _TURNS[degrees]) if degrees else frame
            return to_jpeg(picture, _POSTER_WIDTH, quality=4, aspect=1 / aspect if degrees % 180 else aspect)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise MediaError(f"no poster can be made: {type(error).__name__}") from None


def thumbnail(jpeg: bytes) -> bytes:
    """Shrink a JPEG to at most 480 pixels in width and 24 kB, small enough for an event.

    Raises:
        MediaError: The bytes are not a JPEG, or cannot be made so small.
    """
    try:
        with av.open(io.BytesIO(jpeg), "r", format="mjpeg") as container:
            frame = next(container.decode(video=0))
        for width, quality in _THUMBNAIL_SIZES:
            small = to_jpeg(frame, width, quality=quality)
            if len(small) <= _THUMBNAIL_BYTES:
                return small
    except (av.FFmpegError, ValueError, StopIteration) as error:
        raise MediaError(f"no thumbnail can be made: {type(error).__name__}") from None
    raise MediaError("no thumbnail of 24 kB can be made")


def to_jpeg(frame: VideoFrame, max_width: int, *, quality: int, aspect: Fraction = Fraction(1)) -> bytes:
    """Encode a frame as JPEG.

    Args:
        max_width: In pixels.
        quality: FFmpeg's scale, from 2 (best) to 31 (smallest).
        aspect: The width of the frame's pixels divided by their height.
    """
    shown_width = round(frame.width * aspect)
    width = max(2, min(shown_width, max_width) // 2 * 2)
    height = max(2, round(frame.height * width / shown_width) // 2 * 2)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = width, height
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 1)
    encoder.qmin = encoder.qmax = quality
    picture = frame.reformat(width=width, height=height, format="yuvj420p")
    picture.pts, picture.time_base = 0, Fraction(1, 1)
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


def filtered(frames: Sequence[VideoFrame], filters: Sequence[tuple[str, str | None]]) -> VideoFrame:
    """Return the one frame that FFmpeg's filters make of frames of one size and format."""
    graph = av.filter.Graph()
    first, time_base = frames[0], Fraction(1, 25)
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=time_base
    )
    chain = [source, *(graph.add(*step) for step in filters), graph.add("buffersink")]
    for before, after in pairwise(chain):
        before.link_to(after)
    graph.configure()
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = number, time_base
        graph.push(frame)
    graph.push(None)
    result = graph.pull()
    assert isinstance(result, VideoFrame)
    return result
