"""Inspection of mp4 files: that they are whole, and what they contain."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, Literal

import av
from av import Packet
from av.container import InputContainer
from av.video.stream import VideoStream

from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.film import bit_depth, film_stream, hdr_of, open_decoder, shown_size
from seedance_dagster.media.properties import Probe
from seedance_dagster.media.sound import Listener


class _Span:
    """The time that packets take, in seconds."""

    def __init__(self) -> None:
        self._start: float | None = None
        self._last = self.end = 0.0
        self._packets = 0

    def add(self, packet: Packet[Any]) -> None:
        if packet.pts is None or packet.time_base is None or packet.is_discard:  # an edit list cuts it off
            return
        at = float(packet.pts * packet.time_base)
        self._start = at if self._start is None else min(self._start, at)
        self._last = max(self._last, at)
        self.end = max(self.end, at + float((packet.duration or 0) * packet.time_base))
        self._packets += 1

    @property
    def last(self) -> float:
        """The time from the first frame to the last."""
        return self._last - (self._start or 0.0)

    @property
    def seconds(self) -> float:
        """The time from the first frame to the end of the last, which counts as long as the average."""
        start = self._start or 0.0
        mean = (self._last - start) / (self._packets - 1) if self._packets > 1 else 0.0
        return max(self.end, self._last + mean) - start


def probe(path: Path) -> Probe:
    """Inspect a video: decode its key frames and its sound, and check the structure of all their packets.

    Raises:
        MediaError: The file is not a video, ends early, or holds other data in place of frames.
    """
    # Where an edit list cuts off the only key frame, the film begins with another frame.
    properties = _probe(path, "NONKEY") or _probe(path, "DEFAULT")
    if properties is None:
        raise MediaError("the file has no frames")
    return properties


def _probe(path: Path, skipped_frames: Literal["NONKEY", "DEFAULT"]) -> Probe | None:
    """Inspect a video without decoding some of its frames; return None where no frame is left."""
    span, frames, size = _Span(), 0, (0, 0)
    try:
        with open_mp4(path) as container:
            film = film_stream(container)
            declared = declared_duration(film, container)
            decoder = open_decoder(film)
            listener = Listener(container.streams.audio[0]) if container.streams.audio else None
            # The decoder still parses the frames it skips, in a fifth of the time that decoding takes.
            decoder.skip_frame = skipped_frames
            for packet in container.demux(film, *container.streams.audio[:1]):
                if packet.is_corrupt:
                    raise MediaError("the file ends early or holds damaged data")
                if listener is not None and packet.stream.index != film.index:
                    listener.hear(packet)
                    continue
                span.add(packet)
                for frame in film.decode(packet):
                    frames += 1
                    size = shown_size(frame, film)
            codec, depth, hdr = decoder.codec.canonical_name, bit_depth(decoder), hdr_of(decoder)
            rate = film.average_rate
            sound = None if listener is None else listener.sound()
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise MediaError(f"the file is not a playable video: {type(error).__name__}") from None
    if not frames:
        return None
    # A file that was cut between two packets declares more than it holds.
    if declared is not None and span.end < 0.9 * declared - 0.1:
        raise MediaError(f"the file declares {declared:.1f} s but holds {span.end:.1f} s")
    if declared is None or span.last > 1.1 * declared + 0.1:  # the header may state far less than is there
        declared = span.seconds
    seconds = round(declared, 3)
    fps = None if not rate else round(float(rate), 3)
    return Probe(seconds, *size, codec, path.stat().st_size, fps, depth, hdr, sound)


def open_mp4(file: Path | BinaryIO) -> InputContainer:
    """Open an mp4 for reading."""
    # The format is fixed: a guessed one may refer to further files. Metadata may be in any encoding.
    return av.open(
        str(file) if isinstance(file, Path) else file, "r", format="mp4", metadata_errors="replace"
    )


def declared_duration(stream: VideoStream, container: InputContainer) -> float | None:
    """Return the seconds that the file's header states; None where it states none."""
    if stream.duration and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams.video) + len(container.streams.audio) == 1  # else it may be the sound's
    return container.duration / av.time_base if container.duration and alone else None
