"""The length of a reference, read from as few of its bytes as possible."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import TYPE_CHECKING

from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.references.file_types import FileType

if TYPE_CHECKING:
    from av import AudioStream, VideoStream
    from av.container import InputContainer

_PADDING_S = 0.1  # encoders fill the last frame, which does not count
_FFMPEG_TIME_BASE = Fraction(1, 1_000_000)
_FRAGMENTED = b"mvex"  # the box that announces further parts of the index


class PartialFile:
    """A file of which some parts are loaded, readable by FFmpeg.

    A missing part reads as the end of the file, and its position is kept in `missing`, to be fetched
    before the next attempt: FFmpeg does not reliably pass on an error that a read raises.

    Attributes:
        size: Of the whole file in bytes.
        missing: Position of the first byte that was read and is not loaded; None when there is none.
        held: Number of loaded bytes.
    """

    def __init__(self, start: bytes, size: int) -> None:
        self.size = size
        self.missing: int | None = None
        self.held = 0
        self._parts: dict[int, bytes] = {}
        self._position = 0
        self.put(0, start)

    @property
    def start(self) -> bytes:
        """The part at the beginning."""
        return self._parts[0]

    @property
    def whole(self) -> bool:
        """True when the file is loaded in one piece."""
        return len(self.start) == self.size

    def sha256(self) -> str | None:
        """Return the hash of the whole file, in hex; None unless all of it is loaded."""
        return hashlib.sha256(self.start).hexdigest() if self.whole else None

    @property
    def fragmented(self) -> bool:
        """True for an mp4 whose index is spread over the file."""
        return any(_FRAGMENTED in part for part in self._parts.values())

    def put(self, offset: int, part: bytes) -> None:
        """Add a part."""
        self._parts[offset] = part
        self.held += len(part)

    def rewind(self) -> None:
        """Go back to the beginning and clear `missing`."""
        self.missing, self._position = None, 0

    def read(self, count: int) -> bytes:
        """Read up to `count` bytes, as files do."""
        for offset, part in self._parts.items():
            if offset <= self._position < offset + len(part):
                start = self._position - offset
                chunk = part[start : start + count]
                self._position += len(chunk)
                return chunk
        if self._position < self.size and self.missing is None:
            self.missing = self._position
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to another position, as files do."""
        self._position = max(0, offset + (0, self._position, self.size)[whence])
        return self._position

    def tell(self) -> int:
        """Return the position, as files do."""
        return self._position


def duration_of(file: PartialFile, kind: FileType) -> float | None:
    """Return the length of a video or audio in seconds, to the millisecond.

    Args:
        file: Its loaded parts.
        kind: A type that has a container.

    Returns:
        None when more of the file is needed, from `file.missing` on.

    Raises:
        MediaError: The file cannot be played or does not state its length.
    """
    import av  # noqa: PLC0415  heavy

    file.rewind()
    duration, problem = 0.0, "does not state its length"
    try:
        # The container is named: FFmpeg must not guess one that follows links in the file.
        with av.open(file, "r", format=kind.container, metadata_errors="ignore") as container:
            streams = container.streams.video if kind.value.startswith("video/") else container.streams.audio
            if streams:
                duration = round(_duration(container, streams[0], whole=file.whole), 3)
            else:
                problem = "has no video track" if kind.value.startswith("video/") else "has no audio track"
    except (av.FFmpegError, ValueError, OverflowError):
        problem = "cannot be played: it is damaged or cut off"
    if duration > 0 and file.fragmented and not file.whole:
        raise MediaError("is a fragmented mp4, whose length cannot be read without the whole file: remux it")
    if duration > 0:
        return duration
    if file.missing is not None:
        return None
    raise MediaError(f"is {kind.words} that {problem}")


def _duration(container: InputContainer, stream: VideoStream | AudioStream, *, whole: bool) -> float:
    # Demuxed before the declared length is read: that of a fragmented file grows on the way.
    span = _span(container, stream) if whole else 0.0
    declared = max(_seconds(stream.duration, stream.time_base), _seconds(container.duration))
    return span if span > declared + _PADDING_S else declared


def _seconds(duration: int | None, time_base: Fraction | None = _FFMPEG_TIME_BASE) -> float:
    return float((duration or 0) * (time_base or 0))


def _span(container: InputContainer, stream: VideoStream | AudioStream) -> float:
    """Return the seconds from the first to the last packet of a stream."""
    first, last = None, 0
    for packet in container.demux(stream):
        if packet.pts is not None:
            first = packet.pts if first is None else min(first, packet.pts)
            last = max(last, packet.pts + (packet.duration or 0))
    return 0.0 if first is None else _seconds(last - first, stream.time_base)
