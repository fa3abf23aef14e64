"""The shapes in which a task reports its state: status words, places of the video's link, and texts.

The parts that may drift are data: `data/task-shapes-2026-11.yaml`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from seedance_dagster.api.data_file import load_data_file

_PACKAGED = "task-shapes-2026-11"
_PICTURE_OR_SOUND = re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|avif|svg|mp3|wav|json)$", re.IGNORECASE)
_MOST_DEPTH = 6
_MOST_TEXTS = 200
_MOST_CHARACTERS = 4000  # of one text; the rest would only be cut later, after it was searched
_TEXT_NAMES = ("message", "msg", "text", "error", "reason", "detail", "raw_message")
_CODE_NAMES = ("code", "type")
_MOST_JSON = 50_000


class _Shapes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    before: tuple[str, ...]
    status: dict[str, tuple[str, ...]]
    link: tuple[str, ...]


def status_meaning(word: str) -> str | None:
    r"""Return the meaning of a status word; None for an unknown one.

    Example:
        >>> status_meaning("In_Progress\t"), status_meaning("finalizing")
        ('processing', None)
        >>> status_meaning("TASK_STATUS_SUCCEED")
        'completed'
    """
    letters = _letters(word)
    bare = _words_before().sub("", letters).rstrip("0123456789")  # such as "Processing 45%"
    return _meanings().get(letters) or _meanings().get(bare)


def video_link(task: Mapping[str, Any]) -> str | None:
    """Return the link to the finished video, wherever it is in a task; None when there is none.

    Example:
        >>> video_link({"output": {"works": [{"video": {"url": "https://f/v.mp4"}}]}})
        'https://f/v.mp4'
    """
    detail = task.get("detail")
    # By their exact names: most tasks that are read still run, and have no link at all.
    places = [task.get("output"), *(task[name] for name in _shapes().link if task.get(name))]
    places += [detail.get("output")] if isinstance(detail, Mapping) else []
    links = [link for place in places for link in links_in(place)]
    films = (link for link in links if not _PICTURE_OR_SOUND.search(link.partition("?")[0]))
    return next(films, None) or next(iter(links), None) or _odd_link(task.get("output"))


def names_in(output: object) -> str:
    """Return the names in a task's output, for a message about a missing link."""
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
    """Yield the texts of an error; a number alone, such as its code, says nothing to people."""
    if not isinstance(error, Mapping):
        yield from texts_of(error)
        return
    texts = {name: error[name] for name in _TEXT_NAMES if error.get(name)}
    words = [error[name] for name in _CODE_NAMES if re.search("[^\\W\\d]", _text_of(error.get(name)))]
    yield from texts_of([*words, texts or None])


def _text_of(item: object, depth: int = _MOST_DEPTH) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, Mapping):
        named = [_text_of(item[name], depth - 1) for name in _TEXT_NAMES if depth and item.get(name)]
        return " ".join(dict.fromkeys(filter(None, named))) or (json.dumps(item, default=str) if item else "")
    return "" if item is None else str(item)


def _odd_link(output: object) -> str | None:
    """Return a text in the usual place that is not a link: it is refused later, with the reason."""
    text = output.get("video") if isinstance(output, Mapping) else None
    return (text.strip() or None) if isinstance(text, str) else None


def links_in(value: object, depth: int = _MOST_DEPTH) -> Iterator[str]:
    """Yield the links in a value, the best first."""
    if isinstance(value, str):
        text = value.strip()
        if text.lower().startswith(("https://", "http://")):
            yield text
        elif text.startswith("//"):
            yield f"https:{text}"
        value = json_in(text)
    if depth == 0:
        return
    parts: list[object] = []
    if isinstance(value, Mapping):
        by_name = {_letters(str(name)): part for name, part in value.items()}
        parts = [by_name[name] for name in _link_names() if name in by_name]
    elif isinstance(value, list):
        parts = value[:_MOST_TEXTS]
    for part in parts:
        yield from links_in(part, depth - 1)


def json_in(text: str) -> Any:
    """Return the list or object that a text spells as JSON; None for any other text."""
    if not text.startswith(("{", "[")) or len(text) > _MOST_JSON:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _letters(name: str) -> str:
    """Return the letters and digits of a name or word, in lower case."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name[:100]).casefold()))


@cache
def _shapes() -> _Shapes:
    return load_data_file(_Shapes, _PACKAGED)


@cache
def _link_names() -> tuple[str, ...]:
    return tuple(map(_letters, _shapes().link))


@cache
def _words_before() -> re.Pattern[str]:
    return re.compile(f"^(?:{'|'.join(_shapes().before)})+")


@cache
def _meanings() -> dict[str, str]:
    return {word: meaning for meaning, words in _shapes().status.items() for word in words}
