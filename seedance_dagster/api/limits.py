"""The vendor's limits, and the loader of dated data files such as theirs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

_PACKAGED = "limits-2026-04"
M = TypeVar("M", bound=BaseModel)


class Limits(BaseModel):
    """The vendor's rules as numbers and words; `data/limits-2026-04.yaml` names their source.

    Attributes:
        min_duration_s: Shortest output, in seconds.
        max_duration_s: Longest output, in seconds.
        aspect_ratios: Accepted words.
        default_aspect_ratio: Used by the vendor when a request names none.
        resolutions: Accepted words.
        default_resolution: Used by the vendor when a request names none.
        default_resolutions: The default of the task types that have another one.
        max_prompt_characters: Longest text.
        max_references: Most images, videos and audios together.
        max_frames: Most images in first_last_frames.
        image_formats: File extensions.
        video_formats: File extensions.
        audio_formats: File extensions.
        max_input_video_s: Longest total of all input videos, in seconds.
        max_audio_s: Longest audio reference, in seconds.
        max_upload_bytes: Largest file that the file service takes.
        peak_start_hour_utc: Hour of the day at which peak traffic begins.
        peak_end_hour_utc: Hour of the day at which it ends.
        rejection_tiers: Rejections in a UTC day from which on the vendor's penalty is higher.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_duration_s: int
    max_duration_s: int
    aspect_ratios: tuple[str, ...]
    default_aspect_ratio: str
    resolutions: tuple[str, ...]
    default_resolution: str
    default_resolutions: dict[str, str]
    max_prompt_characters: int
    max_references: int
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
    def load(cls, path: Path | None = None) -> Self:
        """Load the packaged limits, or a file of the same form.

        Raises:
            ValueError: The file cannot be used; the message says why.
        """
        return load_data_file(cls, _PACKAGED, path)

    def resolution_of(self, task_type: str) -> str:
        """Return the resolution that the vendor uses when a request of a type names none."""
        name = task_type.removesuffix("-less-restriction")
        return self.default_resolutions.get(name, self.default_resolution)


def load_data_file(model: type[M], packaged: str, path: Path | None) -> M:
    """Load a data file into its model.

    Args:
        model: The model of the file's content.
        packaged: The name of the packaged file, without its ending.
        path: A file of the same form to load instead.

    Raises:
        ValueError: The file cannot be read or does not fit the model; the message says where.
    """
    source = path or files("seedance_dagster.api").joinpath("data", f"{packaged}.yaml")
    try:
        return model.model_validate(yaml.safe_load(source.read_text(encoding="utf-8")))
    except ValidationError as error:
        reason = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}" for item in error.errors()
        )
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
    msg = f"{path or packaged} cannot be used: {reason}"
    raise ValueError(msg)
