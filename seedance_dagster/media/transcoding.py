"""Previews: a film in H.264 of at most 720 lines, with its sound in AAC, which any browser plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.film import film_stream, open_decoder, pixel_aspect, turn
from seedance_dagster.media.video import open_mp4

_MOST_LINES = 720
_QUALITY = {"preset": "veryfast", "crf": "23"}
_SOUND_RATE = 48_000


def write_preview(path: Path, target: Path) -> None:
    """Write the preview of a video.

    Raises:
        MediaError: The video cannot be decoded.
    """
    try:
        with open_mp4(path) as source, _opened(target) as output:
            _transcode(source, output)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise MediaError(f"no preview can be made: {type(error).__name__}") from None


def _opened(target: Path) -> Any:
    # A player can begin before the whole file is loaded.
    return av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"})


def _transcode(source: Any, output: Any) -> None:
    film = film_stream(source)
    open_decoder(film)
    picture = _Picture(film, output)
    sound = _Sound(output) if source.streams.audio else None
    for packet in source.demux(film, *source.streams.audio[:1]):
        if packet.stream.index == film.index:
            for frame in film.decode(packet):
                picture.add(frame)
        elif sound is not None:
            for frame in packet.decode():
                sound.add(frame)
    picture.close()
    if sound is not None:
        sound.close()


class _Picture:
    """The film of a preview; its encoder begins with the first frame, which says how large it is."""

    def __init__(self, film: Any, output: Any) -> None:
        self._film, self._output = film, output
        self._stream: Any = output.add_stream("libx264", rate=film.average_rate or 24, options=_QUALITY)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = film.time_base
        self._stream.codec_context.sample_aspect_ratio = pixel_aspect(film)
        self._size: tuple[int, int] | None = None

    def add(self, frame: Any) -> None:
        if self._size is None:
            self._size = self._stream.width, self._stream.height = _size(frame)
            if degrees := turn(frame):
                self._stream.set_display_rotation(-degrees)
        width, height = self._size
        smaller = frame.reformat(width=width, height=height, format="yuv420p")
        smaller.pict_type = 0  # the encoder decides which are key frames
        self._output.mux(self._stream.encode(smaller))

    def close(self) -> None:
        if self._size is None:
            raise MediaError("the file has no frames")
        self._output.mux(self._stream.encode(None))


class _Sound:
    """The sound of a preview."""

    def __init__(self, output: Any) -> None:
        self._output = output
        self._stream: Any = output.add_stream("aac", rate=_SOUND_RATE, layout="stereo")
        self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_SOUND_RATE)

    def add(self, frame: Any) -> None:
        for resampled in self._resampler.resample(frame):
            self._output.mux(self._stream.encode(resampled))

    def close(self) -> None:
        for resampled in self._resampler.resample(None):
            self._output.mux(self._stream.encode(resampled))
        self._output.mux(self._stream.encode(None))


def _size(frame: Any) -> tuple[int, int]:
    """Return width and height of the preview's frames: even, with at most 720 lines or columns."""
    scale = min(1, _MOST_LINES / min(frame.width, frame.height))
    return max(2, round(frame.width * scale / 2) * 2), max(2, round(frame.height * scale / 2) * 2)
