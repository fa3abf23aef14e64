"""The sound of a video, decoded once for all measures."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av import AudioFrame
from av.filter import Graph
from numpy.typing import NDArray

from seedance_dagster.media.video import open_mp4
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.film import MAX_SECONDS

_RATE, _FORMAT = 48_000, "fltp"
_WINDOW = _RATE // 20
_INAUDIBLE = 1e-3  # -60 dBFS
_LEAST_LUFS = -70.0  # quieter parts do not count in EBU R 128
_GATE_S = 0.4  # shorter sound has no loudness there


@dataclass(frozen=True)
class Sound:
    """Figures of a sound track.

    Attributes:
        loudness_lufs: The integrated loudness of EBU R 128; None if the sound is shorter than 0.4 s.
        silent_share: The share of its time in which it is below -60 dBFS.
    """

    loudness_lufs: float | None
    silent_share: float


def read_sound(content: bytes) -> Sound | None:
    """Decode the sound of an mp4; return None if it has none.

    Raises:
        ScoreError: It cannot be decoded.
    """
    try:
        frames = [frame for frame in _frames(content) if frame.samples]
        if not frames:
            return None
        samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1).astype(np.float32)
        long_enough = samples.shape[1] >= _GATE_S * _RATE
        return Sound(_loudness(frames) if long_enough else None, _silent_share(samples))
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise ScoreError(f"the sound cannot be decoded: {type(error).__name__}") from None


def _frames(content: bytes) -> Iterator[AudioFrame]:
    """Yield the sound at one rate and in one format, with its own channels."""
    with open_mp4(io.BytesIO(content)) as container:
        if not container.streams.audio:
            return
        resampler = av.AudioResampler(format=_FORMAT, rate=_RATE)
        samples = 0
        for frame in container.decode(container.streams.audio[0]):
            for resampled in resampler.resample(frame):
                resampled.pts = samples
                samples += resampled.samples
                yield resampled
            if samples >= MAX_SECONDS * _RATE:
                return
        for rest in resampler.resample(None):
            rest.pts = samples
            yield rest


def _loudness(frames: list[AudioFrame]) -> float:
    graph = Graph()
    layout = frames[0].layout
    source = graph.add_abuffer(
        sample_rate=_RATE, format=_FORMAT, layout=layout, time_base=frames[0].time_base
    )
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    loudness = _LEAST_LUFS
    for frame in [*frames, None]:
        graph.push(frame)
        for measured in _pulled(graph):
            # Each figure is of all sound so far.
            loudness = float(measured.metadata.get("lavfi.r128.I", loudness))
    return max(loudness, _LEAST_LUFS) if math.isfinite(loudness) else _LEAST_LUFS


def _pulled(graph: Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, AudioFrame)
        yield frame


def _silent_share(samples: NDArray[np.float32]) -> float:
    windows: int = max(1, samples.shape[1] // _WINDOW)
    parts = np.array_split(np.nan_to_num(samples) ** 2, windows, axis=1)
    silent = [float(part.mean(axis=1).max()) < _INAUDIBLE**2 for part in parts]
    return silent.count(True) / windows
