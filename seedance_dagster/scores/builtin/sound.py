"""Loudness and silence."""

from __future__ import annotations

from seedance_dagster.scores.clip import Clip


def loudness_lufs(clip: Clip) -> float | None:
    """Return the integrated loudness of EBU R 128 in LUFS, from -70; None without sound."""
    return clip.sound.loudness_lufs if clip.sound else None


def silence_share(clip: Clip) -> float | None:
    """Return the share of the time in which the sound is below -60 dBFS; None without sound."""
    return clip.sound.silent_share if clip.sound else None
