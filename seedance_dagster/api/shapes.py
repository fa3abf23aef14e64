"""The shapes in which a task says how it stands: status words, places of the video's link, and texts.

What can drift is data: `data/task-shapes-2026-11.yaml`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from seedance_dagster.api.data_file import load_data_file

_PACKAGED = "task-shapes-2026-11"
_BETWEEN = re.compile(r"[\s_-]+")
_MOST_DEPTH = 6
_MOST_TEXTS = 200
_MOST_CHARACTERS = 4000  # of one text; the rest would only be cut later, after it was searched
_TEXT_NAMES = ("message", "msg", "text", "error", "reason", "detail", "raw_message")


class _Shapes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    status: dict[str, tuple[str, ...]]
    link: tuple[str, ...]


def status_meaning(word: str) -> str | None:
    r"""Return the meaning of a status word; None for an unknown one.

    Example:
        >>> status_meaning("In_Progress\t"), status_meaning("finalizing")
        ('processing', None)
    """
    return _meanings().get(_BETWEEN.sub("", word[:100]).casefold())


def video_link(task: Mapping[str, Any]) -> str | None:
    """Return the link to the finished video from wherever it stands in a task; None when there is none.

    Example:
        >>> video_link({"output": {"works": [{"video": {"url": "https://f/v.mp4"}}]}})
        'https://f/v.mp4'
    """
    for outer in ("output", "video_url", "video"):
        link = _link_in(task.get(outer), _MOST_DEPTH)
        if link is not None:
            return link
    detail = task.get("detail")
    link = _link_in(detail.get("output"), _MOST_DEPTH) if isinstance(detail, Mapping) else None
    return link or _odd_link(task.get("output"))


def names_in(output: object) -> str:
    """Return the names in a task's output, for a message that says what was there instead of a link."""
    if isinstance(output, Mapping):
        return ", ".join(str(name)[:40] for name in list(output)[:20]) or "nothing"
    return "nothing" if output in (None, "", []) else type(output).__name__


def texts_of(value: object) -> Iterator[str]:
    """Yield the texts of a field such as `logs` or `error`, whatever its shape; long ones are cut.

    Example:
        >>> list(texts_of(["a", {"message": "b"}])), list(texts_of("boom"))
        (['a', 'b'], ['boom'])
    """
    items = value if isinstance(value, list) else [value]
    for item in items[:_MOST_TEXTS]:
        text = _text_of(item)
        if text:
            yield text[:_MOST_CHARACTERS]


def error_texts(error: object) -> Iterator[str]:
    """Yield the texts of an error: without a message it has only a code, which says nothing to people."""
    if isinstance(error, Mapping):
        error = {
            name: error[name] for name in ("message", "raw_message", "detail") if error.get(name)
        } or None
    yield from texts_of(error)


def _text_of(item: object, depth: int = _MOST_DEPTH) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, Mapping):
        named = [_text_of(item[name], depth - 1) for name in _TEXT_NAMES if depth and item.get(name)]
        return " ".join(dict.fromkeys(filter(None, named))) or (json.dumps(item, default=str) if item else "")
    return "" if item is None else str(item)


def _odd_link(output: object) -> str | None:
    """Return another text in the usual place: it is refused as a link later, with the reason."""
    text = output.get("video") if isinstance(output, Mapping) else None
    return (text.strip() or None) if isinstance(text, str) else None


def _link_in(value: object, depth: int) -> str | None:
    if isinstance(value, str):
        text = value.strip()
        return text if text.lower().startswith(("https://", "http://")) else None
    if depth == 0:
        return None
    parts: list[object] = []
    if isinstance(value, Mapping):
        parts = [value[name] for name in _shapes().link if name in value]
    elif isinstance(value, list):
        parts = value[:_MOST_TEXTS]
    return next((link for part in parts if (link := _link_in(part, depth - 1)) is not None), None)


@cache
def _shapes() -> _Shapes:
    return load_data_file(_Shapes, _PACKAGED)


@cache
def _meanings() -> dict[str, str]:
    return {word: meaning for meaning, words in _shapes().status.items() for word in words}
