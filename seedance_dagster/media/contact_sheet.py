"""A contact sheet: many posters in one small picture."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import av
from av import VideoFrame

from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.pictures import filtered, to_jpeg

_COLUMNS, _WIDTH, _HEIGHT, _GAP = 6, 160, 90, 4
_FORMAT = "yuvj420p"
_MAX_BYTES = 100_000
_QUALITIES = (6, 12, 20, 31)  # FFmpeg's; the first that is small enough is taken


def contact_sheet(posters: Sequence[bytes]) -> bytes | None:
    """Return a JPEG of at most 100 kB with pictures in rows of six; None if none can be read.

    Raises:
        MediaError: The sheet cannot be made.
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
    return filtered([frame], filters)


def _tiled(frames: Sequence[VideoFrame]) -> VideoFrame:
    columns = min(len(frames), _COLUMNS)
    layout = f"layout={columns}x{-(-len(frames) // columns)}:nb_frames={len(frames)}:padding={_GAP}"
    return filtered(frames, [("tile", layout)])
