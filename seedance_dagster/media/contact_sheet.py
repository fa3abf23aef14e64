"""A contact sheet: many posters in one small picture."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import av
from av import VideoFrame

from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.pictures import to_jpeg

_COLUMNS, _WIDTH, _HEIGHT, _GAP = 6, 160, 90, 4
_FORMAT = "yuvj420p"
_MAX_BYTES = 100_000
_QUALITIES = (6, 12, 20, 31)  # FFmpeg's; the first that is small enough is taken


def contact_sheet(posters: Sequence[bytes]) -> bytes | None:
    """Return a JPEG of at most 100 kB with pictures in rows of six; None without any that can be read.

    Raises:
        MediaError: It cannot be made.
    """
    frames = []
    for poster in posters:
        with contextlib.suppress(av.FFmpegError, ValueError, StopIteration):
            frames.append(_cell(poster))
    if not frames:
        return None
    try:
        sheet = _tiled(frames)
        for quality in _QUALITIES:
            jpeg = to_jpeg(sheet, sheet.width, quality=quality)
            if len(jpeg) <= _MAX_BYTES:
                return jpeg
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"no contact sheet can be made: {type(error).__name__}") from None
    raise MediaError("no contact sheet of 100 kB can be made")


def _cell(poster: bytes) -> VideoFrame:
    """Return a picture in the middle of a cell."""
    with av.open(io.BytesIO(poster), "r", format="mjpeg") as container:
        frame = next(container.decode(video=0))
    size = f"{_WIDTH}:{_HEIGHT}"
    filters = [
        ("scale", f"{size}:force_original_aspect_ratio=decrease:force_divisible_by=2"),
        ("pad", f"{size}:(ow-iw)/2:(oh-ih)/2"),
        ("format", _FORMAT),
    ]
    return _filtered([frame], filters)


def _tiled(frames: Sequence[VideoFrame]) -> VideoFrame:
    columns = min(len(frames), _COLUMNS)
    layout = f"layout={columns}x{-(-len(frames) // columns)}:nb_frames={len(frames)}:padding={_GAP}"
    return _filtered(frames, [("tile", layout)])


def _filtered(frames: Sequence[VideoFrame], filters: Sequence[tuple[str, str]]) -> VideoFrame:
    """Return the one frame that FFmpeg's filters make of frames of one size and format."""
    graph = av.filter.Graph()
    first, time_base = frames[0], Fraction(1, 25)
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=time_base
    )
    chain = [source, *(graph.add(*step) for step in filters), graph.add("buffersink")]
    for one, behind in pairwise(chain):
        one.link_to(behind)
    graph.configure()
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = number, time_base
        graph.push(frame)
    graph.push(None)
    made = graph.pull()
    assert isinstance(made, VideoFrame)
    return made
