"""JSON in which no name occurs twice, and whose parsing costs little whatever it contains."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from seedance_dagster.prompts.bounds import MAX_DEPTH, check_values
from seedance_dagster.prompts.problems import UnreadableError, first_line, shown

_MAPPING_WEIGHT = 4  # a mapping takes as much memory as that many other values
_TEXT_OR_END = re.compile(r'"(?:[^"\\]|\\.)*"|}', re.DOTALL)
_REMEDIES = (
    (("//", "/*", "#"), "JSON has no comments: remove it"),
    (("'", "\u201c", "\u201d"), "put it in double quotes"),
    (("True", "False", "None"), "write true, false or null"),
    (("```",), "remove the lines with ```"),
)
_QUOTED = 80  # characters around an error
_MOST_DIGITS = 4_300  # of a number that Python reads
_LONG_NUMBER = re.compile(rf"[0-9]{{{_MOST_DIGITS + 1}}}")


class _RepeatedNameError(ValueError):
    """An object that has a name twice."""


def check_json_values(text: str) -> None:
    """Raise `UnreadableError` for JSON with too many values, found without parsing it."""
    check_values(text.count(",") + text.count("[") + _MAPPING_WEIGHT * text.count("{"))


def parse_json(text: str, *, one_line: bool = False) -> Any:
    """Parse JSON in which no name occurs twice.

    Args:
        text: The JSON.
        one_line: Leave the number of the line out of messages: the text is one line of a file.

    Raises:
        UnreadableError: The text is not such JSON.
    """
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        line = "" if one_line else f"line {error.lineno}, "
        raise UnreadableError(
            f"is not valid JSON: {error.msg} ({line}column {error.colno}){_advice(error, one_line=one_line)}"
        ) from None
    except RecursionError:
        raise UnreadableError("is nested too deeply") from None
    except ValueError as error:
        place = "" if one_line else _place_of(error, text)
        is_name = isinstance(error, _RepeatedNameError)
        words = first_line(error) if is_name else f"a number has more than {_MOST_DIGITS} digits"
        raise UnreadableError(f"is not valid JSON: {words}{place}") from None
    if text.count("[") + text.count("{") >= MAX_DEPTH:
        _check_depth(document)
    return document


def _advice(error: json.JSONDecodeError, *, one_line: bool) -> str:
    """Return what to do about JSON as JavaScript, Python and people write it; empty if that is not clear."""
    rest = error.doc[error.pos : error.pos + _QUOTED].lstrip()
    before = error.doc[max(error.pos - _QUOTED, 0) : error.pos].rstrip()
    if error.msg == "Extra data":
        if not one_line:
            return "; name a file with one object on each line .jsonl"
        return "; remove the comma at its end" if rest.rstrip() == "," else ""
    if error.msg.startswith("Illegal trailing") or (rest.startswith(("]", "}")) and before.endswith(",")):
        return "; remove the last comma"
    return next((f"; {words}" for begins, words in _REMEDIES if rest.startswith(begins)), "")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_depth(document: Any) -> None:
    """Raise `UnreadableError` for a document that is too deep for recursive functions."""
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [item for parent in level for item in _children(parent)]
        if not level:
            return
    raise UnreadableError("is nested too deeply")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = Counter(name for name, _ in pairs)
        repeated = next(name for name, count in names.items() if count > 1)
        raise _RepeatedNameError(f"{shown(repeated)} occurs twice in one object")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _place_of(error: ValueError, text: str) -> str:
    """Return the line for an error that names none: that of an object's end, or of a long number."""
    if not isinstance(error, _RepeatedNameError):
        number = _LONG_NUMBER.search(text)
        return "" if number is None else f" (line {text.count(chr(10), 0, number.start()) + 1})"
    objects = 0

    def count(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal objects
        objects += 1
        return _unique(pairs)

    try:
        json.loads(text, object_pairs_hook=count)
    except _RepeatedNameError:
        ends = (match for match in _TEXT_OR_END.finditer(text) if match.group() == "}")
        end = next(match.start() for number, match in enumerate(ends, 1) if number == objects)
        return f", which ends in line {text.count(chr(10), 0, end) + 1}"
    return ""
