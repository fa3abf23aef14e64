"""What goes over the wire: strict in what we send, tolerant in what we receive."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Mode(StrEnum):
    """How references are used; the vendor's page requires one of these words."""

    TEXT_TO_VIDEO = "text_to_video"
    FIRST_LAST_FRAMES = "first_last_frames"
    OMNI_REFERENCE = "omni_reference"


class GenerationRequest(BaseModel):
    """One validated order for a video, exactly what the vendor will render.

    Built by `seedance_dagster.prompts`, which checks every rule of the vendor's page first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task_type: str
    prompt: str
    mode: Mode
    duration: int = 5
    aspect_ratio: str | None = None
    image_urls: tuple[str, ...] = ()
    video_urls: tuple[str, ...] = ()
    audio_urls: tuple[str, ...] = ()
    resolution: str | None = None
    audio: bool | None = None

    def to_wire(self) -> dict[str, Any]:
        """The JSON body of the POST; only what the user set is sent, `mode` always."""
        fields = self.model_dump(mode="json", exclude={"task_type"}, exclude_none=True)
        given = {name: value for name, value in fields.items() if value not in ([], ())}
        return {"model": "seedance", "task_type": self.task_type, "input": given}
