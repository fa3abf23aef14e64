"""The film of an mp4: which of its streams it is, and how it is shown."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from av.stream import Disposition

from seedance_dagster.media.errors import MediaError

if TYPE_CHECKING:
    from av import VideoCodecContext, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

_HDR = {16: "pq", 18: "hlg"}  # the transfer functions of ITU-T H.273
_MOST_ASPECT = 10  # a more extreme aspect is ignored


def film_stream(container: InputContainer) -> VideoStream:
    """Return the stream that is the film; attached pictures, such as cover art, do not count.

    Raises:
        MediaError: There is none.
    """
    films = [stream for stream in container.streams.video if not _is_attached(stream)]
    if not films:
        raise MediaError("the file has no video stream")
    # Of several, the one that a player shows: not a still picture, then the default one, then the longest.
    return max(films, key=lambda stream: (stream.frames != 1, _is_default(stream), stream.duration or 0))


def open_decoder(stream: VideoStream) -> VideoCodecContext:
    """Return the decoder of a stream; raise `MediaError` where there is none for its codec."""
    context = stream.codec_context
    if context is None:
        raise MediaError("the file's video codec is not supported")
    return context


def bit_depth(context: VideoCodecContext) -> int | None:
    """Return the bits of each component, such as 10."""
    if context.format is None:
        return None
    return max((component.bits for component in context.format.components), default=None)


def hdr_of(context: VideoCodecContext) -> str | None:
    """Return "pq" or "hlg"; None for a film of standard range."""
    return _HDR.get(int(context.color_trc or 0))


def shown_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Return width and height as a player shows the frames: upright, and with square pixels."""
    width, height = round(frame.width * pixel_aspect(stream)), frame.height
    return (height, width) if turn(frame) in (90, 270) else (width, height)


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the width of a pixel divided by its height."""
    aspect = stream.sample_aspect_ratio
    if not aspect or not Fraction(1, _MOST_ASPECT) <= aspect <= _MOST_ASPECT:
        return Fraction(1)
    return aspect


def turn(frame: VideoFrame) -> int:
    """Return the degrees by which a player turns the frame clockwise: 0, 90, 180 or 270."""
    return round(-frame.rotation / 90) * 90 % 360


def _is_attached(stream: VideoStream) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _is_default(stream: VideoStream) -> bool:
    return bool(stream.disposition & Disposition.default)
