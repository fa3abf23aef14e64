"""The vendor's rules for one prompt, every one checked before anything is sent.

Source: the vendor's page (2026-04-06). What it would silently replace (a bad duration or ratio) or
ignore (the ratio in first_last_frames) is an error or a stated warning here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.limits import Limits
from seedance_dagster.api.prices import PriceBook
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.prompts.problems import shown
from seedance_dagster.prompts.references import KINDS, named_references

_WRITTEN = 20  # characters of a reference that are enough to find it
REQUEST_FIELDS = tuple(GenerationRequest.model_fields)
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that JSON files can write but nothing can send or store: NUL and halves of characters."""
Report = Callable[..., None]
"""`report(field, message, severity="error")`."""


def check_request(
    fields: Mapping[str, Any],
    *,
    ratio_given: bool,
    limits: Limits,
    prices: PriceBook,
    report: Report,
) -> GenerationRequest | None:
    """Check one prompt's fields against every rule.

    Args:
        fields: Values by field name, defaults filled in; types as the file gave them.
        ratio_given: True when the prompt itself names an aspect ratio, not the defaults.
        limits: What the vendor accepts.
        prices: What has a price.
        report: Called for each problem.

    Returns:
        The request, or None after at least one reported error.
    """
    sound = _Sound(report)
    mode = _mode(fields["mode"], sound)
    text = _text(fields["prompt"], limits, sound)
    lists = {kind: _urls(fields, kind, limits, sound) for kind in KINDS}
    duration = _duration(fields["duration"], limits, sound)
    ratio = _word(fields, "aspect_ratio", limits.aspect_ratios, sound)
    if mode is Mode.FIRST_LAST_FRAMES:
        if ratio_given:
            report("aspect_ratio", "ignored in first_last_frames: the first image decides it", "warning")
        ratio = None
    if mode is not None:
        _mode_rules(mode, lists, limits, sound)
    _named(text, lists, sound)
    task_type = _task_type(fields["task_type"], prices, sound)
    resolution = _word(fields, "resolution", limits.resolutions, sound)
    audio = fields.get("audio")
    if audio is not None and not isinstance(audio, bool):
        sound.error("audio", f"{shown(audio)} is neither true nor false")
    if sound.errors or mode is None:
        return None
    request = GenerationRequest(
        task_type=task_type,
        prompt=text,
        mode=mode,
        duration=duration,
        aspect_ratio=ratio,
        image_urls=lists["image"],
        video_urls=lists["video"],
        audio_urls=lists["audio"],
        resolution=resolution,
        audio=audio,
    )
    try:
        prices.estimate(request)
    except UnknownPriceError as error:
        sound.error("resolution", str(error))
        return None
    return request


class _Sound:
    """Counts the errors of one prompt while they are reported."""

    def __init__(self, report: Report) -> None:
        self.errors = 0
        self._report = report

    def error(self, field: str, message: str) -> None:
        self.errors += 1
        self._report(field, message)


def _mode(value: Any, sound: _Sound) -> Mode | None:
    # Not Mode(value): its error writes the value out, which YAML's aliases can make endless.
    found = next((mode for mode in Mode if mode == value), None)
    if found is None:
        sound.error("mode", f"{shown(value)} is none of {', '.join(Mode)}")
    return found


def _text(value: Any, limits: Limits, sound: _Sound) -> str:
    if not isinstance(value, str) or not value.strip():
        sound.error("prompt", "a prompt needs a text")
        return ""
    if len(value) > limits.max_prompt_characters:
        sound.error("prompt", f"{len(value)} characters; at most {limits.max_prompt_characters}")
    if UNSTORABLE.search(value):
        sound.error("prompt", "holds characters that cannot be sent")
    return value


def _duration(value: Any, limits: Limits, sound: _Sound) -> int:
    low, high = limits.min_duration_s, limits.max_duration_s
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        sound.error(
            "duration",
            f"{shown(value)} is no whole number of seconds from {low} to {high} (the vendor would bill 5 s)",
        )
        return low
    return value


def _word(fields: Mapping[str, Any], name: str, allowed: tuple[str, ...], sound: _Sound) -> str | None:
    value = fields.get(name)
    found = next((word for word in allowed if word == value), None)
    if value is not None and found is None:
        sound.error(name, f"{shown(value)} is none of {', '.join(allowed)}")
    return found


def _task_type(value: Any, prices: PriceBook, sound: _Sound) -> str:
    if value not in prices.task_types:
        sound.error("task_type", f"{shown(value)} has no known price; known: {', '.join(prices.task_types)}")
        return ""
    return str(value)


def _urls(fields: Mapping[str, Any], kind: str, limits: Limits, sound: _Sound) -> tuple[str, ...]:
    name = f"{kind}_urls"
    value = [] if fields.get(name) is None else fields[name]
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        sound.error(name, "must be a list of URLs")
        return ()
    allowed: tuple[str, ...] = getattr(limits, f"{kind}_formats")
    for number, url in enumerate(value, 1):
        wrong = _wrong_url(url, allowed)
        if wrong:
            sound.error(name, f"number {number} {wrong}")
    return tuple(value)


def _wrong_url(url: str, allowed: tuple[str, ...]) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        return "is no http(s) URL"
    if parts.username or parts.password:
        return "holds a user or password, which would be sent to the vendor"
    _, dot, extension = parts.path.rpartition("/")[2].rpartition(".")
    if dot and extension.isalnum() and len(extension) <= 4 and extension.lower() not in allowed:  # noqa: PLR2004  longer is no extension
        return f"is .{extension}; allowed: {', '.join(allowed)}"
    return None


def _mode_rules(mode: Mode, lists: Mapping[str, tuple[str, ...]], limits: Limits, sound: _Sound) -> None:
    count = {kind: len(urls) for kind, urls in lists.items()}
    if mode is Mode.TEXT_TO_VIDEO:
        for kind in KINDS:
            if count[kind]:
                sound.error(f"{kind}_urls", "not allowed in text_to_video; set mode to omni_reference")
    elif mode is Mode.FIRST_LAST_FRAMES:
        if not 1 <= count["image"] <= limits.max_frames:
            sound.error(
                "image_urls", f"first_last_frames needs 1 to {limits.max_frames} images, not {count['image']}"
            )
        for kind in ("video", "audio"):
            if count[kind]:
                sound.error(f"{kind}_urls", "not allowed in first_last_frames")
    else:
        total = sum(count.values())
        if not 1 <= total <= limits.max_references:
            sound.error(
                "image_urls",
                f"omni_reference needs 1 to {limits.max_references} references in all, not {total}",
            )
        if count["audio"] and not count["image"] + count["video"]:
            sound.error("audio_urls", "audio alone is refused: add an image or a video")


def _named(text: str, lists: Mapping[str, tuple[str, ...]], sound: _Sound) -> None:
    for written, kind, position in named_references(text):
        if not 1 <= position <= len(lists[kind]):
            sound.error("prompt", f"names {written[:_WRITTEN]}, but {kind}_urls holds {len(lists[kind])}")
