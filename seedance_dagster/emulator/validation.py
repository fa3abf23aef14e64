"""The vendor's checks of a request, and the values that it silently replaces.

The emulator fetches no reference. A URL may state what a real vendor would measure: `?seconds=N` for a video
or audio, `?ratio=9:16` for an image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from seedance_dagster.emulator.responses import Refusal, invalid
from seedance_dagster.emulator.task_types import FEWER_RESTRICTIONS, REMOVE_WATERMARK, TaskType, task_types

DEFAULT_RATIO = "16:9"
DEFAULT_VIDEO_S = Decimal(5)
"""The length of a video whose URL states none."""

_MODES = ("text_to_video", "first_last_frames", "omni_reference")
_DEFAULT_DURATION_S = 5
_DEFAULT_IMAGE_RATIO = "4:3"
_MAX_PROMPT_CHARACTERS = 4000
_MENTION = re.compile(r"@\s*(image|video|audio|图片|视频|音频)\s*(\d+)", re.IGNORECASE)
_CHINESE_KINDS = {"图片": "image", "视频": "video", "音频": "audio"}
_FORMATS = {
    "image_urls": ("jpg", "jpeg", "png", "webp", "bmp"),
    "video_urls": ("mp4", "mov"),
    "audio_urls": ("mp3", "wav"),
}
_MAX_REFERENCES = 12
_MAX_FRAMES = 2
_MAX_VIDEO_S = Decimal("15.4")
_MAX_AUDIO_S = Decimal(15)


@dataclass(frozen=True)
class TaskRequest:
    """A valid request, with the values that will really be rendered; durations are in seconds."""

    task_type: str
    mode: str
    prompt: str
    duration: int
    aspect_ratio: str
    resolution: str
    input_video_s: Decimal
    audio_too_long: bool
    references: tuple[str, ...]
    as_rendered: dict[str, Any]
    picture: str | None = None
    """The text in the picture, where it is not the prompt."""
    file_is_gone: bool = False
    """A link in it leads to nothing any more."""


def read_request(body: Any) -> TaskRequest:
    """Validate a request as the vendor does.

    A duration or ratio that is not allowed is replaced, not refused, as on the vendor's page.

    Raises:
        Refusal: A rule is broken; the message names the field and what is allowed.
    """
    if not isinstance(body, Mapping):
        raise invalid("the body must be a JSON object")
    if body.get("model") != "seedance":
        raise invalid("model must be 'seedance'")
    task_type = body.get("task_type")
    if not isinstance(task_type, str) or task_type not in task_types():
        raise invalid(f"task_type must be one of {', '.join((*task_types(), REMOVE_WATERMARK))}")
    model = task_types()[task_type]
    fields = body.get("input")
    if not isinstance(fields, Mapping):
        raise invalid("input must be an object")
    prompt = _prompt(fields)
    mode = fields.get("mode")
    if mode not in _MODES:
        raise invalid(f"input.mode is required and must be one of {', '.join(_MODES)}")
    references = _References.read(fields, own_copies=task_type.endswith(FEWER_RESTRICTIONS))
    references.check_counts(mode, model.most)
    references.check_mentions(prompt)
    duration = _duration(fields.get("duration"), model)
    resolution = model.resolution(fields.get("resolution"))
    ratio = references.first_image_ratio() if mode == "first_last_frames" else fields.get("aspect_ratio")
    if ratio not in model.ratios:
        ratio = _DEFAULT_IMAGE_RATIO if mode == "first_last_frames" else DEFAULT_RATIO
    return TaskRequest(
        task_type=task_type,
        mode=mode,
        prompt=prompt,
        duration=duration,
        aspect_ratio=ratio,
        resolution=resolution,
        input_video_s=references.video_seconds(),
        audio_too_long=references.audio_too_long(),
        references=(*references.image, *references.video, *references.audio),
        as_rendered={**fields, "duration": duration, "aspect_ratio": ratio},
    )


def video_to_clean(body: Any) -> str | None:
    """Return the link in a request to remove the watermark of a video; None for any other request.

    Raises:
        Refusal: There is no such link.
    """
    if not isinstance(body, Mapping) or body.get("task_type") != REMOVE_WATERMARK:
        return None
    if body.get("model") != "seedance":
        raise invalid("model must be 'seedance'")
    fields = body.get("input")
    link = fields.get("video_url") if isinstance(fields, Mapping) else None
    if not isinstance(link, str):
        raise invalid("input.video_url is required and must be text")
    _check_url("input.video_url", link, _FORMATS["video_urls"])
    return link


def prompt_of(body: Any) -> str:
    """Return the prompt of any body, or else its link to a video; empty without either."""
    fields = body.get("input") if isinstance(body, Mapping) else None
    texts = [fields.get(name) for name in ("prompt", "video_url")] if isinstance(fields, Mapping) else []
    return next((text for text in texts if isinstance(text, str)), "")


def _prompt(fields: Mapping[str, Any]) -> str:
    prompt = fields.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise invalid("input.prompt is required and must be text")
    if len(prompt) > _MAX_PROMPT_CHARACTERS:
        raise invalid(
            f"input.prompt has {len(prompt)} characters, at most {_MAX_PROMPT_CHARACTERS} are allowed"
        )
    return prompt


def _duration(value: Any, model: TaskType) -> int:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and model.takes(value) else _DEFAULT_DURATION_S


@dataclass(frozen=True)
class _References:
    """The reference URLs of a request, by kind and in order."""

    image: tuple[str, ...]
    video: tuple[str, ...]
    audio: tuple[str, ...]

    @classmethod
    def read(cls, fields: Mapping[str, Any], *, own_copies: bool) -> _References:
        """Read the lists of an `input` object; raise `Refusal` for a bad list, URL or format.

        Args:
            fields: The object.
            own_copies: Whether the vendor's own copies of earlier references (`asset://`) may stand in it.
        """
        return cls(*(_urls(name, fields.get(name), own_copies=own_copies) for name in _FORMATS))

    def check_counts(self, mode: str, most: Mapping[str, int]) -> None:
        """Raise `Refusal` for references that the mode does not allow."""
        total = len(self.image) + len(self.video) + len(self.audio)
        if mode == "text_to_video" and total:
            raise invalid("text_to_video accepts no references")
        if mode == "first_last_frames":
            if self.video or self.audio:
                raise invalid("first_last_frames accepts images only")
            if not 1 <= len(self.image) <= _MAX_FRAMES:
                raise invalid(f"first_last_frames needs 1 or {_MAX_FRAMES} image_urls, got {len(self.image)}")
        if mode == "omni_reference":
            if not 1 <= total <= _MAX_REFERENCES:
                raise invalid(f"omni_reference needs 1 to {_MAX_REFERENCES} references, got {total}")
            if not self.image and not self.video:
                raise invalid("audio alone is not allowed, add at least one image or video reference")
            for kind, limit in most.items():
                if len(getattr(self, kind)) > limit:
                    raise invalid(f"at most {limit} {kind} references are allowed")

    def check_mentions(self, prompt: str) -> None:
        """Raise `Refusal` for a prompt that mentions a missing reference."""
        for word, digits in _MENTION.findall(prompt):
            kind = _CHINESE_KINDS.get(word, word.lower())
            count = len(getattr(self, kind))
            if not 1 <= int(digits) <= count:
                raise invalid(
                    f"prompt references @{kind}{digits} but {count} {kind} reference(s) were provided"
                )

    def video_seconds(self) -> Decimal:
        """Return the billed seconds of input video; raise `Refusal` when the stated lengths are too long."""
        known = [seconds for url in self.video if (seconds := _seconds(url)) is not None]
        total = sum(known, Decimal(0))
        if total > _MAX_VIDEO_S:
            raise invalid(f"total input video duration is {total} s, at most {_MAX_VIDEO_S} s are allowed")
        return min(_MAX_VIDEO_S, total + DEFAULT_VIDEO_S * (len(self.video) - len(known)))

    def audio_too_long(self) -> bool:
        """Return True for an audio whose upload times out at the vendor's upstream."""
        return any((_seconds(url) or 0) > _MAX_AUDIO_S for url in self.audio)

    def first_image_ratio(self) -> str | None:
        """Return the ratio that the first image's URL states."""
        return _query(self.image[0], "ratio")


def _urls(field: str, value: Any, *, own_copies: bool) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise invalid(f"input.{field} must be a list of URLs")
    for position, url in enumerate(value, 1):
        is_own = own_copies and field != "audio_urls" and url.startswith("asset://")
        is_image = field == "image_urls" and url.startswith("data:image/")
        if not is_own and not is_image:
            _check_url(f"input.{field}[{position}]", url, _FORMATS[field])
    return tuple(value)


def _check_url(where: str, url: str, formats: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise invalid(f"{where} is not a URL") from None
    if parts.scheme == "asset":
        raise Refusal(422, f"{where}: assets are for task types with less restriction", kind="invalid")
    if parts.scheme not in {"http", "https"} or not host:
        raise invalid(f"{where} must be a public http or https URL")
    extension = PurePosixPath(parts.path).suffix.lower().lstrip(".")
    if extension and extension not in formats:
        raise invalid(f"{where} has format {extension}, allowed are {', '.join(formats)}")


def _query(url: str, name: str) -> str | None:
    values = parse_qs(urlsplit(url).query).get(name)
    return values[0] if values else None


def _seconds(url: str) -> Decimal | None:
    text = _query(url, "seconds")
    try:
        seconds = Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
    return seconds if seconds is not None and seconds.is_finite() and seconds >= 0 else None
