"""The vendor's rules for a prompt, all of them checked before anything is sent.

Source: the vendor's page (2026-04-06). What the vendor would silently replace (a bad duration or ratio)
or ignore (the ratio in first_last_frames) is an error or a warning here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seedance_dagster.api.catalog import NO_REMOVAL_PRICE, Catalog
from seedance_dagster.api.limits import Limits, TaskType
from seedance_dagster.api.wire import REFERENCE_KINDS, GenerationRequest, Mode
from seedance_dagster.counting import counted
from seedance_dagster.prompts.identity import default_resolution, normalized_text
from seedance_dagster.prompts.misread import misread_part
from seedance_dagster.prompts.missing import is_placeholder
from seedance_dagster.prompts.problems import not_a_boolean, shown, shown_number
from seedance_dagster.prompts.references import read_references

REQUEST_FIELDS = tuple(GenerationRequest.model_fields)
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that JSON can express but nothing can send or store: NUL and unpaired surrogates."""
RATIO_IGNORED = "is ignored in first_last_frames, where the first image decides it"
Report = Callable[..., None]
"""`report(field, message, severity="error")`."""

_UNSENDABLE = re.compile("[\0-\x08\x0c\x0e-\x1f\x7f-\x9f\ufffd\ud800-\udfff]")  # all but tab and line ends
_LOST = re.compile("[\x80-\x9f\ufffd]")
_FLAGS = (
    dict.fromkeys(("ratio", "rt", "ar", "aspect"), "aspect_ratio")
    | dict.fromkeys(("dur", "duration"), "duration")
    | dict.fromkeys(("rs", "resolution"), "resolution")
)
_FLAG = re.compile(rf"(?<!\S)--({'|'.join(_FLAGS)})(?=[ =])")  # in texts for other services
_LONGEST_MENTION = 20
_MOST_DIGITS = 9
_MODES = {mode.value: mode for mode in Mode}
_CHINESE_KINDS = {"图片": "image", "视频": "video", "音频": "audio"}
_LIKE_A_MENTION = re.compile(
    r"(?<![\w.])[@\uff20][ _-]?(?:(?P<image>image|img|picture|pic|\u56fe\u7247|\u56fe\u50cf|\u56fe)"
    r"|(?P<video>video|vid|clip|\u89c6\u9891)|(?P<audio>audio|sound|\u97f3\u9891))"
    r"s?[ _-]?([0-9\uff10-\uff19]+)",
    re.ASCII | re.IGNORECASE,
)
_MENTION = re.compile(
    r"(?<![\w.])@(image|video|audio)(\d+)|【@(图片|视频|音频)(\d+)】|(?<!【)@(图片|视频|音频)(\d+)",
    re.ASCII,  # Chinese has no spaces: with Unicode's \w a letter before the @ would count as a word
)


def check_request(
    fields: Mapping[str, Any],
    *,
    ratio_given: bool,
    catalog: Catalog,
    report: Report,
    folder: Path | None = None,
) -> GenerationRequest | None:
    """Check the fields of a prompt against all rules.

    Args:
        fields: Values by field name as the file has them, with defaults filled in.
        ratio_given: Whether the prompt itself, and not only the defaults, sets an aspect ratio.
        catalog: The task types that can be ordered, with their limits.
        report: Called for each problem.
        folder: The folder of the prompt file, which paths of references start from.

    Returns:
        The request, or None when an error was reported.
    """
    errors = _Errors(report)
    limits = catalog.limits
    task_type = _task_type(fields["task_type"], catalog, errors)
    type_limits = limits.types.get(task_type, limits.loosest)
    mode = _mode(fields["mode"], errors)
    text = check_text(fields["prompt"], limits, errors.add)
    read = {kind: read_references(fields, kind, limits, folder, errors.add) for kind in REFERENCE_KINDS}
    urls: Mapping[str, tuple[str, ...]] = {kind: references or () for kind, references in read.items()}
    duration = _duration(fields["duration"], type_limits, errors)
    ratio = _word(fields, "aspect_ratio", type_limits.aspect_ratios, errors)
    if mode is Mode.FIRST_LAST_FRAMES:
        if ratio_given:
            errors.report("aspect_ratio", RATIO_IGNORED, "warning")
        ratio = None
    if None not in read.values():
        if mode is not None:
            _check_mode(mode, urls, limits, errors)
        if mode is Mode.OMNI_REFERENCE:
            _check_counts(task_type, urls, type_limits, errors)
        _check_mentions(text, urls, errors)
    resolution = _resolution(fields, task_type, catalog, errors)
    audio = fields.get("audio")
    if audio is not None and not isinstance(audio, bool):
        errors.add("audio", not_a_boolean(audio))
    removal = fields.get("remove_watermark")
    remove_watermark = False if removal is None else removal
    if not isinstance(remove_watermark, bool):
        errors.add("remove_watermark", not_a_boolean(remove_watermark))
    elif remove_watermark and not catalog.can_remove_watermarks:
        errors.add("remove_watermark", NO_REMOVAL_PRICE)
    if errors.count or mode is None:
        return None
    return GenerationRequest(
        task_type=task_type,
        prompt=text,
        mode=mode,
        duration=duration,
        aspect_ratio=ratio,
        image_urls=urls["image"],
        video_urls=urls["video"],
        audio_urls=urls["audio"],
        resolution=resolution,
        audio=audio,
        remove_watermark=remove_watermark,
    )


def check_text(value: Any, limits: Limits, report: Report) -> str:
    """Return the normalized text of a prompt, and report its problems."""
    if value is not None and not isinstance(value, str):
        is_word = isinstance(value, bool | int | float)
        hint = f': "{value}"' if is_word else ", if it is a text that begins with [ or {"
        report("prompt", f"is {shown(value)}, not a text; put it in quotes{hint}")
        return ""
    if value is None or not value.strip():
        report("prompt", "must be a text that is not empty")
        return ""
    text = normalized_text(value)
    if len(text) > limits.max_prompt_characters:
        report("prompt", f"has {len(text)} characters; allowed are {limits.max_prompt_characters}")
        return ""  # looking for millions of mentions would take hours
    if character := _UNSENDABLE.search(text):
        name = f"U+{ord(character[0]):04X}"
        lost = (
            f": {name} stands for a letter that was lost in another encoding"
            if _LOST.match(character[0])
            else f": {name}"
        )
        report("prompt", f"contains characters that cannot be sent{lost}")
    elif misread := misread_part(text):
        report(
            "prompt",
            f"contains {misread!r}, where a letter was lost in another encoding; write it again, or "
            "export the file as UTF-8 once more",
        )
    for flag in dict.fromkeys(_FLAG.findall(text) if "--" in text else ()):
        report("prompt", f"contains --{flag}, which is a text here; remove it, and set {_FLAGS[flag]}")
    if is_placeholder(text):
        report("prompt", f"is {shown(text)}, which is not a prompt; write one, or remove it")
    return text


def mentions(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield each reference that a prompt mentions, as written, with its kind and position.

    The vendor's page (2026-04-06) has `@image1`, `@video2`, `@audio3` and Chinese forms; positions count
    from 1, and a mention of a missing reference is refused.

    Example:
        >>> list(mentions("@image1 becomes 【@图片2】"))
        [('@image1', 'image', 1), ('【@图片2】', 'image', 2)]
    """
    if "@" not in text:
        return
    for match in _MENTION.finditer(text):
        word, number = filter(None, match.groups())
        yield match.group(), _CHINESE_KINDS.get(word, word), int(number[:_MOST_DIGITS])


def near_mentions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each text that resembles a mention but is not one to the vendor, with the mention that is meant.

    Example:
        >>> list(near_mentions("@Image1 and @image2 beside @img 3"))
        [('@Image1', '@image1'), ('@img 3', '@image3')]
    """
    if "@" not in text and "\uff20" not in text:
        return
    exact = [match.span() for match in _MENTION.finditer(text)]
    for match in _LIKE_A_MENTION.finditer(text):
        if not any(begin <= match.start() < end for begin, end in exact):
            kind = next(kind for kind, word in match.groupdict().items() if word)
            yield match.group(), f"@{kind}{int(match[4][:_MOST_DIGITS])}"


class _Errors:
    """A counter of the errors that are reported for one prompt."""

    def __init__(self, report: Report) -> None:
        self.count = 0
        self.report = report

    def add(self, field: str, message: str) -> None:
        self.count += 1
        self.report(field, message)


def _mode(value: Any, errors: _Errors) -> Mode | None:
    # Not Mode(value): its error prints the value, which YAML's aliases can make endless.
    mode = _MODES.get(value) if isinstance(value, str) else None
    if mode is None:
        errors.add("mode", f"is {shown(value)}; allowed are {', '.join(Mode)}")
    return mode


def _duration(value: Any, type_limits: TaskType, errors: _Errors) -> int:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not (is_whole and value in type_limits.durations):
        errors.add("duration", f"is {shown_number(value)}; allowed are {type_limits.durations_in_words}")
    return value if is_whole else 0


def _word(fields: Mapping[str, Any], name: str, allowed: tuple[str, ...], errors: _Errors) -> str | None:
    value = fields.get(name)
    word = next((word for word in allowed if word == value), None)
    if value is not None and word is None:
        errors.add(name, f"is {shown(value)}; allowed are {', '.join(allowed)}")
    return word


def _task_type(value: Any, catalog: Catalog, errors: _Errors) -> str:
    if value not in catalog.task_types:
        errors.add(
            "task_type",
            f"is {shown(value)}; allowed are those with a price: {', '.join(catalog.task_types)}; another "
            "one needs its limits and prices in the file that SEEDANCE_PRICES names",
        )
        return ""
    return str(value)


def _resolution(fields: Mapping[str, Any], task_type: str, catalog: Catalog, errors: _Errors) -> str | None:
    """Return the resolution to send: the prompt's, or a default that may not be the vendor's own."""
    allowed = catalog.resolutions(task_type)
    word = _word(fields, "resolution", allowed or catalog.limits.loosest.resolutions, errors)
    default = catalog.limits.resolution_of(task_type)
    if fields.get("resolution") is not None or not allowed:
        return word
    if default not in allowed:
        errors.add("resolution", f"must be set for {task_type}; allowed are {', '.join(allowed)}")
    return None if default == default_resolution(task_type) else default


def _check_mode(mode: Mode, urls: Mapping[str, tuple[str, ...]], limits: Limits, errors: _Errors) -> None:
    count = {kind: len(urls[kind]) for kind in REFERENCE_KINDS}
    if mode is Mode.TEXT_TO_VIDEO:
        for kind in REFERENCE_KINDS:
            if count[kind]:
                errors.add(f"{kind}_urls", "cannot be used in text_to_video; set mode to omni_reference")
    elif mode is Mode.FIRST_LAST_FRAMES:
        if not 1 <= count["image"] <= limits.max_frames:
            errors.add(
                "image_urls",
                f"has {counted(count['image'], 'image')}; first_last_frames takes 1 to {limits.max_frames}",
            )
        for kind in ("video", "audio"):
            if count[kind]:
                errors.add(f"{kind}_urls", "cannot be used in first_last_frames")
    elif count["audio"] and not count["image"] + count["video"]:
        errors.add("audio_urls", "cannot be the only references: add an image or a video")


def _check_counts(
    task_type: str, urls: Mapping[str, tuple[str, ...]], type_limits: TaskType, errors: _Errors
) -> None:
    total = sum(map(len, urls.values()))
    if not 1 <= total <= type_limits.max_references:
        errors.add("mode", f"omni_reference takes 1 to {type_limits.max_references} references, not {total}")
    for kind, most in type_limits.max_of_kind.items():
        if len(urls[kind]) > most:
            errors.add(
                f"{kind}_urls", f"has {counted(len(urls[kind]), kind)}; {task_type} takes at most {most}"
            )


def _check_mentions(text: str, urls: Mapping[str, tuple[str, ...]], errors: _Errors) -> None:
    for written, meant in near_mentions(text):
        errors.add(
            "prompt", f"mentions {written[:_LONGEST_MENTION]}, which refers to no reference; write {meant}"
        )
    for written, kind, position in mentions(text):
        if not 1 <= position <= len(urls[kind]):
            errors.add(
                "prompt",
                f"mentions {written[:_LONGEST_MENTION]}, but the number of {kind}_urls is {len(urls[kind])}",
            )
