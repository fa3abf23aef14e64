"""Inspection of a video in a process of its own, bounded in time and memory.

A file from a foreign host may be made to crash or exhaust its reader. However the process ends, the caller
gets an answer.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedance_dagster.bounded.reader import Readers
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.limits import BOUNDS
from seedance_dagster.media.properties import Probe, Sound

READERS = Readers("seedance_dagster.media.inspector", BOUNDS)


@dataclass(frozen=True)
class Inspection:
    """The result of inspecting a video file.

    Attributes:
        probe: None where the file cannot be read as a video.
        problem: Why there is no probe.
        poster: A JPEG; None where none can be made.
        poster_problem: Why there is no poster.
    """

    probe: Probe | None
    problem: str | None
    poster: bytes | None
    poster_problem: str | None


def inspect_video(path: Path, *, with_poster: bool = True) -> Inspection:
    """Probe a video and cut its poster.

    Raises:
        OSError: The process cannot be started, or its answer cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="seedance-") as folder:
        poster = Path(folder) / "poster.jpg"
        files = [path, poster] if with_poster else [path]
        answers, end = READERS.read(*map(str, files), answers=len(files))
        facts, poster_answer = [*answers, {"problem": end}, {"problem": end}][:2]
        picture = poster.read_bytes() if with_poster and "problem" not in poster_answer else None
    problem = facts.get("problem")
    return Inspection(
        None if problem else _probe(facts["probe"]), problem, picture, poster_answer.get("problem")
    )


def probe_video(path: Path) -> Probe:
    """Probe a video as `inspect_video` does, without a poster.

    Raises:
        MediaError: The file cannot be read as a video.
        OSError: The process cannot be started.
    """
    inspection = inspect_video(path, with_poster=False)
    if inspection.probe is None:
        raise MediaError(inspection.problem)
    return inspection.probe


def cut_poster(path: Path) -> bytes:
    """Cut a video's poster as `inspect_video` does.

    Raises:
        MediaError: No poster can be made.
        OSError: The process cannot be started.
    """
    inspection = inspect_video(path)
    if inspection.poster is None:
        raise MediaError(inspection.poster_problem)
    return inspection.poster


def _probe(facts: dict[str, Any]) -> Probe:
    sound = facts.pop("sound")
    return Probe(**facts, sound=None if sound is None else Sound(**sound))
