"""The vendor's limits, in general and by task type."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from seedance_dagster.api.data_file import load_data_file
from seedance_dagster.api.wire import ReferenceKind

_PACKAGED = "limits-2026-11"


class TaskType(BaseModel):
    """The limits of one task type.

    Attributes:
        min_duration_s: Shortest output, in seconds.
        max_duration_s: Longest output, in seconds.
        duration_step_s: Lengths between them are this far apart.
        aspect_ratios: Accepted words.
        resolutions: Accepted words.
        default_resolution: Used by the vendor when a request names none.
        max_references: Most images, videos and audios together.
        max_of_kind: Most of one kind, for the kinds that have such a limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_duration_s: int = Field(gt=0)
    max_duration_s: int
    duration_step_s: int = Field(default=1, gt=0)
    aspect_ratios: tuple[Annotated[str, Field(pattern=r"^[1-9]\d?:[1-9]\d?$")], ...] = Field(min_length=1)
    resolutions: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]{1,9}$")], ...] = Field(min_length=1)
    default_resolution: str
    max_references: int = Field(ge=0)
    max_of_kind: dict[ReferenceKind, int] = {}

    @cached_property
    def durations(self) -> range:
        """The accepted lengths, in whole seconds."""
        return range(self.min_duration_s, self.max_duration_s + 1, self.duration_step_s)

    @cached_property
    def durations_in_words(self) -> str:
        """The accepted lengths, such as "whole seconds from 4 to 15"."""
        if self.duration_step_s == 1:
            return f"whole seconds from {self.min_duration_s} to {self.max_duration_s}"
        return f"{', '.join(map(str, self.durations))} seconds"


class Limits(BaseModel):
    """The vendor's rules as numbers and words; the packaged file names their source.

    Attributes:
        types: The limits that each task type has of its own.
        default_aspect_ratio: Used by the vendor when a request names none.
        max_prompt_characters: Longest text.
        max_frames: Most images in first_last_frames.
        image_formats: File extensions.
        video_formats: File extensions.
        audio_formats: File extensions.
        max_input_video_s: Longest total of all input videos, in seconds.
        max_audio_s: Longest audio reference, in seconds.
        max_upload_bytes: Largest file that the file service takes.
        peak_start_hour_utc: Hour of the day at which peak traffic begins.
        peak_end_hour_utc: Hour of the day at which it ends.
        rejection_tiers: Numbers of rejections in a UTC day at which the vendor's penalty rises.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: dict[str, TaskType]
    default_aspect_ratio: str
    max_prompt_characters: int
    max_frames: int
    image_formats: tuple[str, ...]
    video_formats: tuple[str, ...]
    audio_formats: tuple[str, ...]
    max_input_video_s: float
    max_audio_s: float
    max_upload_bytes: int
    peak_start_hour_utc: int
    peak_end_hour_utc: int
    rejection_tiers: tuple[int, ...]

    @classmethod
    @cache
    def load(cls) -> Self:
        """Load the packaged limits."""
        return load_data_file(cls, _PACKAGED)

    @cached_property
    def loosest(self) -> TaskType:
        """The widest limits of all types, to check a request whose type is wrong."""
        types = self.types.values()
        return TaskType(
            min_duration_s=min(limits.min_duration_s for limits in types),
            max_duration_s=max(limits.max_duration_s for limits in types),
            aspect_ratios=tuple(dict.fromkeys(word for limits in types for word in limits.aspect_ratios)),
            resolutions=tuple(dict.fromkeys(word for limits in types for word in limits.resolutions)),
            default_resolution="",
            max_references=max(limits.max_references for limits in types),
        )

    def resolution_of(self, task_type: str) -> str | None:
        """Return the resolution that the vendor uses when a request of a type names none; None if unknown."""
        limits = self.types.get(task_type)
        return None if limits is None else limits.default_resolution
