"""What the vendor checks in a request, and what it silently replaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from seedance_dagster.emulator.prices import POINTS_PER_SECOND
from seedance_dagster.emulator.references import References, read_references
from seedance_dagster.emulator.refusal import invalid

MODES = ("text_to_video", "first_last_frames", "omni_reference")
RATIOS = ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
SHORTEST_S, LONGEST_S, DEFAULT_S = 4, 15, 5
DEFAULT_RATIO = "16:9"
UNREAD_IMAGE_RATIO = "4:3"
LONGEST_PROMPT = 4000

_MENTION = re.compile(r"@\s*(image|video|audio|图片|视频|音频)\s*(\d+)", re.IGNORECASE)
_KIND = {"图片": "image", "视频": "video", "音频": "audio"}


@dataclass(frozen=True)
class Order:
    """A request that was let in, with what will really be rendered.

    Durations are in seconds.
    """

    task_type: str
    mode: str
    prompt: str
    duration: int
    aspect_ratio: str
    input_video_s: Decimal
    audio_too_long: bool
    as_rendered: dict[str, Any]


def read_order(body: Any) -> Order:
    """Check a request as the vendor does.

    A duration or ratio that is not allowed is replaced, not refused, as on the vendor's page.

    Raises:
        Refusal: naming the field and what is allowed.
    """
    if not isinstance(body, Mapping):
        raise invalid("the body must be a JSON object")
    if body.get("model") != "seedance":
        raise invalid("model must be 'seedance'")
    task_type = body.get("task_type")
    if not isinstance(task_type, str) or task_type not in POINTS_PER_SECOND:
        raise invalid(f"task_type must be one of {', '.join(POINTS_PER_SECOND)}")
    given = body.get("input")
    if not isinstance(given, Mapping):
        raise invalid("input must be an object")
    prompt = _prompt(given)
    mode = given.get("mode")
    if mode not in MODES:
        raise invalid(f"input.mode is required and must be one of {', '.join(MODES)}")
    references = read_references(given)
    references.check_counts(mode)
    _check_mentions(prompt, references)
    duration = _duration(given.get("duration"))
    ratio = _ratio(mode, given.get("aspect_ratio"), references)
    return Order(
        task_type=task_type,
        mode=mode,
        prompt=prompt,
        duration=duration,
        aspect_ratio=ratio,
        input_video_s=references.video_seconds(),
        audio_too_long=references.audio_too_long(),
        as_rendered={**given, "duration": duration, "aspect_ratio": ratio},
    )


def prompt_of(body: Any) -> str:
    """The prompt text of any body, empty when there is none."""
    given = body.get("input") if isinstance(body, Mapping) else None
    prompt = given.get("prompt") if isinstance(given, Mapping) else None
    return prompt if isinstance(prompt, str) else ""


def _prompt(given: Mapping[str, Any]) -> str:
    prompt = given.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise invalid("input.prompt is required and must be text")
    if len(prompt) > LONGEST_PROMPT:
        raise invalid(f"input.prompt has {len(prompt)} characters, at most {LONGEST_PROMPT} are allowed")
    return prompt


def _check_mentions(prompt: str, references: References) -> None:
    counts = {
        "image": len(references.images),
        "video": len(references.videos),
        "audio": len(references.audios),
    }
    for word, digits in _MENTION.findall(prompt):
        kind = _KIND.get(word, word.lower())
        if not 1 <= int(digits) <= counts[kind]:
            raise invalid(
                f"prompt references @{kind}{digits} but {counts[kind]} {kind} reference(s) were provided"
            )


def _duration(given: Any) -> int:
    whole = isinstance(given, int) and not isinstance(given, bool)
    return given if whole and SHORTEST_S <= given <= LONGEST_S else DEFAULT_S


def _ratio(mode: str, given: Any, references: References) -> str:
    if mode == "first_last_frames":
        hinted = references.first_image_ratio()
        return hinted if hinted in RATIOS else UNREAD_IMAGE_RATIO
    return given if given in RATIOS else DEFAULT_RATIO
