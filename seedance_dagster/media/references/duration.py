"""How long a reference lasts, from as few of its bytes as it takes."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import TYPE_CHECKING

from seedance_dagster.media.references.file_types import FileType
from seedance_dagster.media.video import MediaError

if TYPE_CHECKING:
    from av import AudioStream, VideoStream
    from av.container import InputContainer

_PADDING_S = 0.1  # encoders fill the last frame; that is no length
_FFMPEG_TIME_BASE = Fraction(1, 1_000_000)
_FRAGMENTED = b"mvex"  # the box that says that more index follows later


class PartialFile:
    """A file of which some parts are here, as FFmpeg wants to read it.

    What is not here reads as the end, and where that was is kept in `missing`, to be fetched before
    the next try: an error raised below FFmpeg would not always come out at the top.

    Attributes:
        size: Of the whole file in bytes.
        missing: Where the first byte lies that was asked for and is not here; None for none.
        held: How many bytes are here.
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
        """What lies at the beginning."""
        return self._parts[0]

    @property
    def whole(self) -> bool:
        """True when all of it is here in one piece."""
        return len(self.start) == self.size

    def sha256(self) -> str | None:
        """The hash of the whole file, in hex; None when it is not all here."""
        return hashlib.sha256(self.start).hexdigest() if self.whole else None

    @property
    def fragmented(self) -> bool:
        """True for an mp4 whose index is spread over the file."""
        return any(_FRAGMENTED in part for part in self._parts.values())

    def put(self, offset: int, part: bytes) -> None:
        """Keep one more part."""
        self._parts[offset] = part
        self.held += len(part)

    def rewind(self) -> None:
        """Back to the beginning, with nothing missed yet."""
        self.missing, self._position = None, 0

    def read(self, count: int) -> bytes:
        """Up to so many bytes from where we are, as files do."""
        for offset, part in self._parts.items():
            if offset <= self._position < offset + len(part):
                at = self._position - offset
                self._position += len(found := part[at : at + count])
                return found
        if self._position < self.size and self.missing is None:
            self.missing = self._position
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere, as files do."""
        self._position = max(0, offset + (0, self._position, self.size)[whence])
        return self._position

    def tell(self) -> int:
        """Where we are."""
        return self._position


def duration_of(file: PartialFile, kind: FileType) -> float | None:
    """Seconds that a video or audio lasts, to the millisecond.

    Args:
        file: What is here of it.
        kind: A type that has a container.

    Returns:
        None when it takes more of the file to tell: what lies at `file.missing`.

    Raises:
        MediaError: It cannot be played, or cannot say how long it is.
    """
    import av  # noqa: PLC0415  heavy

    file.rewind()
    duration, problem = 0.0, "does not say how long it is"
    try:
        # The container is named: FFmpeg must not guess one that follows links in the file.
        with av.open(file, "r", format=kind.container, metadata_errors="ignore") as container:
            streams = container.streams.video if kind.value.startswith("video/") else container.streams.audio
            if streams:
                duration = round(_duration(container, streams[0], whole=file.whole), 3)
            else:
                problem = "has no picture" if kind.value.startswith("video/") else "has no sound"
    except (av.FFmpegError, ValueError, OverflowError):
        problem = "cannot be played: it is damaged or cut off"
    if duration > 0 and file.fragmented and not file.whole:
        raise MediaError("is a fragmented mp4, whose length only the whole file tells; remux it")
    if duration > 0:
        return duration
    if file.missing is not None:
        return None
    raise MediaError(f"is {kind.words} that {problem}")


def _duration(container: InputContainer, stream: VideoStream | AudioStream, *, whole: bool) -> float:
    # Read through before it is asked: what a fragmented file declares grows on the way.
    span = _span(container, stream) if whole else 0.0
    declared = max(_seconds(stream.duration, stream.time_base), _seconds(container.duration))
    return span if span > declared + _PADDING_S else declared


def _seconds(duration: int | None, time_base: Fraction | None = _FFMPEG_TIME_BASE) -> float:
    return float((duration or 0) * (time_base or 0))


def _span(container: InputContainer, stream: VideoStream | AudioStream) -> float:
    """From the first to the last moment of a stream's packets, in seconds."""
    first, last = None, 0
    for packet in container.demux(stream):
        if packet.pts is not None:
            first = packet.pts if first is None else min(first, packet.pts)
            last = max(last, packet.pts + (packet.duration or 0))
    return 0.0 if first is None else _seconds(last - first, stream.time_base)
