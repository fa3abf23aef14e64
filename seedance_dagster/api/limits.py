"""What the vendor accepts, from a dated data file."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from seedance_dagster.api.datafiles import load_data_file

_PACKAGED = "limits-2026-04"


class Limits(BaseModel):
    """The vendor's rules in numbers; `data/limits-2026-04.yaml` names their source.

    Attributes:
        min_duration_s: Shortest output, in seconds.
        max_duration_s: Longest output, in seconds.
        aspect_ratios: Accepted words.
        default_aspect_ratio: What the vendor takes when none is given.
        resolutions: Accepted words.
        max_prompt_characters: Longest text.
        max_references: Images, videos and audios together.
        max_frames: Images in first_last_frames.
        image_formats: File extensions.
        video_formats: File extensions.
        audio_formats: File extensions.
        max_input_video_s: All input videos together, in seconds.
        max_audio_s: One audio reference, in seconds.
        peak_start_hour_utc: Hour of the day at which peak traffic begins.
        peak_end_hour_utc: Hour at which it is over.
        rejection_tiers: Violations of a UTC day from which on the penalty is higher.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_duration_s: int
    max_duration_s: int
    aspect_ratios: tuple[str, ...]
    default_aspect_ratio: str
    resolutions: tuple[str, ...]
    max_prompt_characters: int
    max_references: int
    max_frames: int
    image_formats: tuple[str, ...]
    video_formats: tuple[str, ...]
    audio_formats: tuple[str, ...]
    max_input_video_s: float
    max_audio_s: float
    peak_start_hour_utc: int
    peak_end_hour_utc: int
    rejection_tiers: tuple[int, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The packaged limits, or a file's of the same form.

        Raises:
            ValueError: The file cannot be used; the message says why.
        """
        return load_data_file(cls, _PACKAGED, path)
