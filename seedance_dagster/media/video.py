"""Inspection of mp4 files: properties, completeness, posters and thumbnails."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

_POSTER_WIDTH = 1280
_THUMBNAIL_BYTES = 12_000
# Width in pixels and FFmpeg's quality; the first that fits is taken, and only noise needs the last ones.
_THUMBNAIL_SIZES = ((320, 6), (320, 12), (320, 20), (320, 31), (200, 31), (120, 31))


class MediaError(Exception):
    """A file is not a complete, playable video; the message says what is wrong with it."""


@dataclass(frozen=True)
class Probe:
    """The properties of a video file.

    Attributes:
        duration_s: Seconds of its video stream.
        width: Pixels.
        height: Pixels.
        codec: Such as "h264".
        size_bytes: Of the file.
        fps: Frames a second on average; None when the file does not say.
    """

    duration_s: float
    width: int
    height: int
    codec: str
    size_bytes: int
    fps: float | None = None


def probe(path: Path) -> Probe:
    """Inspect a video: decode its key frames and check the structure of all its packets.

    Raises:
        MediaError: The file is not a video, ends early, or holds other data in place of frames.
    """
    import av  # noqa: PLC0415  heavy

    end, frames = 0.0, 0
    try:
        with _open(path) as container:
            stream = _video_stream(container)
            duration = _duration(stream, container)
            context = stream.codec_context
            if context is None:
                raise MediaError("the file's video codec is not supported")
            # The decoder still parses the frames it skips, in a fifth of the time that decoding takes.
            context.skip_frame = "NONKEY"
            for packet in container.demux():
                if packet.is_corrupt:
                    raise MediaError("the file ends early or holds damaged data")
                if packet.stream.index != stream.index:
                    continue
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                frames += len(packet.decode())
            width, height, codec = context.width, context.height, context.name
            rate = stream.average_rate
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise MediaError(f"the file is not a playable video: {type(error).__name__}") from None
    if not frames:
        raise MediaError("the file has no frames")
    # A file that was cut between two packets declares more than it holds.
    if end < 0.9 * duration - 0.1:
        raise MediaError(f"the file declares {duration:.1f} s but holds {end:.1f} s")
    fps = None if not rate else round(float(rate), 3)
    return Probe(round(duration, 3), width, height, codec, path.stat().st_size, fps)


def cut_poster(path: Path) -> bytes:
    """Return a JPEG of the frame in the middle of a video, at most 1280 pixels wide.

    Raises:
        MediaError: No frame can be decoded.
    """
    import av  # noqa: PLC0415  heavy

    try:
        with _open(path) as container:
            stream = _video_stream(container)
            middle = int(_duration(stream, container) / 2 * av.time_base)
            container.seek(middle, backward=True)
            frame = next(container.decode(stream), None)
            if frame is None:
                raise MediaError("the file has no frames")
            return _jpeg(frame, _POSTER_WIDTH, quality=4)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"no poster can be made: {type(error).__name__}") from None


def thumbnail(jpeg: bytes) -> bytes:
    """Shrink a JPEG to at most 320 pixels in width and 12 kB, small enough for an event.

    Raises:
        MediaError: The bytes are not a JPEG, or cannot be made so small.
    """
    import av  # noqa: PLC0415  heavy

    try:
        with av.open(io.BytesIO(jpeg), "r", format="mjpeg") as container:
            frame = next(container.decode(video=0))
        for width, quality in _THUMBNAIL_SIZES:
            small = _jpeg(frame, width, quality=quality)
            if len(small) <= _THUMBNAIL_BYTES:
                return small
    except (av.FFmpegError, ValueError, StopIteration) as error:
        raise MediaError(f"no thumbnail can be made: {type(error).__name__}") from None
    raise MediaError("no thumbnail of 12 kB can be made")


def _open(path: Path) -> InputContainer:
    import av  # noqa: PLC0415  heavy

    # The format is fixed: a guessed one may refer to further files. Metadata may be in any encoding.
    return av.open(str(path), "r", format="mp4", metadata_errors="replace")


def _video_stream(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise MediaError("the file has no video stream")
    return container.streams.video[0]


def _duration(stream: VideoStream, container: InputContainer) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return container.duration / 1_000_000  # FFmpeg's unit for whole files
    raise MediaError("the file does not state its length")


def _jpeg(frame: VideoFrame, max_width: int, *, quality: int) -> bytes:
    """Encode a frame as JPEG; `quality` is FFmpeg's scale, from 2 (best) to 31 (smallest)."""
    import av  # noqa: PLC0415  heavy

    width = max(2, min(frame.width, max_width) // 2 * 2)
    height = max(2, round(frame.height * width / frame.width) // 2 * 2)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = width, height
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 1)
    encoder.qmin = encoder.qmax = quality
    picture = frame.reformat(width=width, height=height, format="yuvj420p")
    picture.pts, picture.time_base = 0, Fraction(1, 1)
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])
