"""The properties of a video file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sound:
    """The properties of an audio track.

    Attributes:
        codec: Such as "aac"; None where the codec is not supported.
        channels: Such as 2.
        silent: True where nothing can be heard; None where it could not be decoded.
    """

    codec: str | None
    channels: int | None
    silent: bool | None


@dataclass(frozen=True)
class Probe:
    """The properties of a video file.

    Attributes:
        duration_s: Seconds of its video stream.
        width: Pixels, as a player shows it: upright, and with square pixels.
        height: Pixels.
        codec: Such as "h264".
        size_bytes: Of the file.
        fps: Frames a second on average; None when the file does not say.
        bit_depth: Bits of each component, such as 10.
        hdr: "pq" or "hlg"; None for standard range.
        sound: None where the file has no audio track.
    """

    duration_s: float
    width: int
    height: int
    codec: str
    size_bytes: int
    fps: float | None = None
    bit_depth: int | None = None
    hdr: str | None = None
    sound: Sound | None = None
