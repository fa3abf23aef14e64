"""The sound of an mp4: its codec, its channels, and whether anything can be heard."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import av

from seedance_dagster.media.properties import Sound

if TYPE_CHECKING:
    from av import AudioCodecContext, AudioFrame, Packet
    from av.audio.stream import AudioStream

_INAUDIBLE = 33  # of 32,768: -60 dB


class Listener:
    """A listener to the packets of an audio stream; errors in the sound do not affect the film."""

    def __init__(self, stream: AudioStream) -> None:
        self._stream = stream
        self._loudest = -1
        self._broken = False
        self._resampler = av.AudioResampler(format="s16")

    def hear(self, packet: Packet[Any]) -> None:
        """Decode a packet of the stream."""
        if self._broken or self._loudest >= _INAUDIBLE:
            return
        try:
            for frame in self._stream.decode(packet):
                for resampled in self._resampler.resample(frame):
                    self._loudest = max(self._loudest, _peak(resampled))
        except (av.FFmpegError, ValueError):
            self._broken = True

    def sound(self) -> Sound:
        """Return the properties of the sound that was heard."""
        context: AudioCodecContext | None = self._stream.codec_context
        if context is None:
            return Sound(None, None, None)
        # Sound that was heard before an error counts.
        unknown = self._loudest < 0 or (self._broken and self._loudest < _INAUDIBLE)
        silent = None if unknown else self._loudest < _INAUDIBLE
        return Sound(context.codec.canonical_name, context.channels, silent)


def _peak(frame: AudioFrame) -> int:
    samples = array("h", bytes(frame.planes[0])[: frame.samples * frame.layout.nb_channels * 2])
    return max(max(samples, default=0), -min(samples, default=0))
