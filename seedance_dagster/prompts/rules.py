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
from seedance_dagster.api.prices import PriceTable
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
    prices: PriceTable,
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
    valid = _Valid(report)
    mode = _mode(fields["mode"], valid)
    text = _text(fields["prompt"], limits, valid)
    lists = {kind: _urls(fields, kind, limits, valid) for kind in KINDS}
    duration = _duration(fields["duration"], limits, valid)
    ratio = _word(fields, "aspect_ratio", limits.aspect_ratios, valid)
    if mode is Mode.FIRST_LAST_FRAMES:
        if ratio_given:
            report("aspect_ratio", "ignored in first_last_frames: the first image decides it", "warning")
        ratio = None
    if mode is not None:
        _mode_rules(mode, lists, limits, valid)
    _named(text, lists, valid)
    task_type = _task_type(fields["task_type"], prices, valid)
    resolution = _word(fields, "resolution", limits.resolutions, valid)
    audio = fields.get("audio")
    if audio is not None and not isinstance(audio, bool):
        valid.error("audio", f"{shown(audio)} is neither true nor false")
    if valid.errors or mode is None:
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
        valid.error("resolution", str(error))
        return None
    return request


class _Valid:
    """Counts the errors of one prompt while they are reported."""

    def __init__(self, report: Report) -> None:
        self.errors = 0
        self._report = report

    def error(self, field: str, message: str) -> None:
        self.errors += 1
        self._report(field, message)


def _mode(value: Any, valid: _Valid) -> Mode | None:
    # Not Mode(value): its error writes the value out, which YAML's aliases can make endless.
    found = next((mode for mode in Mode if mode == value), None)
    if found is None:
        valid.error("mode", f"{shown(value)} is none of {', '.join(Mode)}")
    return found


def _text(value: Any, limits: Limits, valid: _Valid) -> str:
    if not isinstance(value, str) or not value.strip():
        valid.error("prompt", "a prompt needs a text")
        return ""
    if len(value) > limits.max_prompt_characters:
        valid.error("prompt", f"{len(value)} characters; at most {limits.max_prompt_characters}")
    if UNSTORABLE.search(value):
        valid.error("prompt", "holds characters that cannot be sent")
    return value


def _duration(value: Any, limits: Limits, valid: _Valid) -> int:
    low, high = limits.min_duration_s, limits.max_duration_s
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        valid.error(
            "duration",
            f"{shown(value)} is no whole number of seconds from {low} to {high} (the vendor would bill 5 s)",
        )
        return low
    return value


def _word(fields: Mapping[str, Any], name: str, allowed: tuple[str, ...], valid: _Valid) -> str | None:
    value = fields.get(name)
    found = next((word for word in allowed if word == value), None)
    if value is not None and found is None:
        valid.error(name, f"{shown(value)} is none of {', '.join(allowed)}")
    return found


def _task_type(value: Any, prices: PriceTable, valid: _Valid) -> str:
    if value not in prices.task_types:
        valid.error("task_type", f"{shown(value)} has no known price; known: {', '.join(prices.task_types)}")
        return ""
    return str(value)


def _urls(fields: Mapping[str, Any], kind: str, limits: Limits, valid: _Valid) -> tuple[str, ...]:
    name = f"{kind}_urls"
    value = [] if fields.get(name) is None else fields[name]
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        valid.error(name, "must be a list of URLs")
        return ()
    allowed: tuple[str, ...] = getattr(limits, f"{kind}_formats")
    for number, url in enumerate(value, 1):
        wrong = _wrong_url(url, allowed)
        if wrong:
            valid.error(name, f"number {number} {wrong}")
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


def _mode_rules(mode: Mode, lists: Mapping[str, tuple[str, ...]], limits: Limits, valid: _Valid) -> None:
    count = {kind: len(urls) for kind, urls in lists.items()}
    if mode is Mode.TEXT_TO_VIDEO:
        for kind in KINDS:
            if count[kind]:
                valid.error(f"{kind}_urls", "not allowed in text_to_video; set mode to omni_reference")
    elif mode is Mode.FIRST_LAST_FRAMES:
        if not 1 <= count["image"] <= limits.max_frames:
            valid.error(
                "image_urls", f"first_last_frames needs 1 to {limits.max_frames} images, not {count['image']}"
            )
        for kind in ("video", "audio"):
            if count[kind]:
                valid.error(f"{kind}_urls", "not allowed in first_last_frames")
    else:
        total = sum(count.values())
        if not 1 <= total <= limits.max_references:
            valid.error(
                "image_urls",
                f"omni_reference needs 1 to {limits.max_references} references in all, not {total}",
            )
        if count["audio"] and not count["image"] + count["video"]:
            valid.error("audio_urls", "audio alone is refused: add an image or a video")


def _named(text: str, lists: Mapping[str, tuple[str, ...]], valid: _Valid) -> None:
    for written, kind, position in named_references(text):
        if not 1 <= position <= len(lists[kind]):
            valid.error("prompt", f"names {written[:_WRITTEN]}, but {kind}_urls holds {len(lists[kind])}")
