"""The built-in measures by name. Importing this module loads FFmpeg and numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seedance_dagster.scores.builtin.cuts import cuts
from seedance_dagster.scores.builtin.first_frame import first_frame_match
from seedance_dagster.scores.builtin.flicker import flicker
from seedance_dagster.scores.builtin.hashes import phash
from seedance_dagster.scores.builtin.motion import motion
from seedance_dagster.scores.builtin.sharpness import sharpness
from seedance_dagster.scores.builtin.sound import loudness_lufs, silence_share
from seedance_dagster.scores.builtin.stills import black_share, frozen_share
from seedance_dagster.scores.clip import Clip

MEASURES: Mapping[str, Callable[[Clip], float | str | None]] = {
    "black_share": black_share,
    "cuts": cuts,
    "first_frame_match": first_frame_match,
    "flicker": flicker,
    "frozen_share": frozen_share,
    "loudness_lufs": loudness_lufs,
    "motion": motion,
    "phash": phash,
    "sharpness": sharpness,
    "silence_share": silence_share,
}
