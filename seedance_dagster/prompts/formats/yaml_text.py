"""YAML of texts, numbers, true, false, null, lists and mappings, without its pitfalls.

`16:9`, `no`, `007`, `1e3` and dates are texts, and keys are unique. The document is built from libyaml's
events: 100,000 prompts take seconds, and aliases and merges cannot expand to more than memory holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from seedance_dagster.prompts.bounds import MAX_DEPTH, check_anchors, check_values
from seedance_dagster.prompts.formats.yaml_scalars import plain_value
from seedance_dagster.prompts.problems import UnreadableError, shown

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS: Mapping[str, tuple[type, ...]] = {
    f"{_TAG}bool": (bool,),
    f"{_TAG}int": (int,),
    f"{_TAG}float": (float, int),
    f"{_TAG}null": (type(None),),
}
_MERGE = "<<"
_COMMENT = re.compile(r"[ \t]+#")
_TABBED = re.compile(r" *\t")
_ENTRY = re.compile(r"""\s*(?:- +)?([\w.]+): +(?!["'] *$)\S""")


@dataclass(frozen=True)
class Note:
    """A note about a text that YAML may not have read as it is meant: its line, and what happened to it."""

    line: int
    field: str
    message: str


@dataclass
class _Open:
    """A list or mapping that is being read."""

    value: Any
    start: Any
    key: str | None = None
    merges: list[dict[str, Any]] | None = None
    height: int = 0


@dataclass
class _Anchor:
    """A value that aliases may name."""

    value: Any
    height: int
    line: int
    field: str | None
    used: bool = False


def parse_yaml(text: str) -> Any:
    """Parse a YAML document; see `read_yaml_text`."""
    return read_yaml_text(text)[0]


def read_yaml_text(text: str, *, texts: tuple[str, ...] = ()) -> tuple[Any, list[Note]]:
    """Parse a YAML document.

    Args:
        text: The document.
        texts: The keys whose values are sentences, which YAML may cut.

    Returns:
        The document, and notes about such sentences.

    Raises:
        UnreadableError: The text is not such a document.
    """
    check_values(text.count("\n") + text.count(",") + text.count("[") + text.count("{"))
    builder = _Builder(text, texts)
    try:
        for event in yaml.parse(text, Loader=_PARSER):
            builder.add(event)
    except yaml.MarkedYAMLError as error:
        # The start of an unclosed text, or of a key without its space: the parser fails only much later.
        scanned = str(error.context).startswith(("while scanning a quoted", "while scanning a simple key"))
        mark = (error.context_mark if scanned else None) or error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        raise UnreadableError(
            f"is not valid YAML: {error.problem or error.context} (line {line + 1}, column {column + 1})"
            f"{'' if isinstance(error, _StructureError) else _advice(text, line)}"
        ) from None
    except yaml.reader.ReaderError as error:
        line = text.encode().count(b"\n", 0, error.position) + 1
        raise UnreadableError(f"is not valid YAML: {error.reason} (line {line})") from None
    except yaml.YAMLError as error:
        raise UnreadableError(f"is not valid YAML: {error}") from None
    return builder.root, builder.all_notes()


def _advice(text: str, line: int) -> str:
    """Return advice where the line of an error, or the one before it, holds a text without quotes."""
    lines = text.split("\n", line + 2)[: line + 1]
    if 0 <= line < len(lines) and _TABBED.match(lines[line]):
        return "; indent with spaces instead of tabs"
    for number in (line, line - 1):
        entry = _ENTRY.match(lines[number]) if 0 <= number < len(lines) else None
        if entry:
            return f"; put the text after {shown(entry[1] + ':')} in line {number + 1} in quotes"
    return ""


@dataclass
class _Builder:
    """A builder of the document that events describe."""

    text: str
    texts: tuple[str, ...]
    root: Any = None
    notes: list[Note] = field(default_factory=list)
    _stack: list[_Open] = field(default_factory=list)
    _anchors: dict[str, _Anchor] = field(default_factory=dict)
    _documents: list[Any] = field(default_factory=list)
    _values: int = 0

    def add(self, event: Any) -> None:
        """Add the part that an event describes."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._add_scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._open({}, "map", event)
        elif kind is yaml.SequenceStartEvent:
            self._open([], "seq", event)
        elif kind in {yaml.MappingEndEvent, yaml.SequenceEndEvent}:
            self._close()
        elif kind is yaml.AliasEvent:
            self._add_alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._documents.append(event)

    def all_notes(self) -> list[Note]:
        """Return the notes about all texts; an anchor that nothing refers to was the start of one."""
        unused = [
            Note(
                anchor.line,
                anchor.field,
                f"begins with &, so YAML drops {shown('&' + name, 40)}; put it in quotes",
            )
            for name, anchor in self._anchors.items()
            if anchor.field is not None and not anchor.used
        ]
        return self.notes + unused

    def _add_scalar(self, event: Any) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and type(top.value) is dict:
            self._add_key(top, event)
            return
        value = _scalar(event)
        if event.anchor is not None:
            key = top.key if top is not None and top.key in self.texts else None
            self._anchors[event.anchor] = _Anchor(value, 0, event.start_mark.line + 1, key)
            check_anchors(len(self._anchors))
        if top is not None and top.key is not None and top.key in self.texts:
            self._note_cut_text(top.key, event)
        self._put(value, 0, event)

    def _add_key(self, top: _Open, event: Any) -> None:
        key = event.value
        if key in top.value or (key == _MERGE and top.merges is not None):
            raise _structure(f"{shown(key)} occurs twice", event)
        top.key = key
        if key == _MERGE and event.implicit[0]:
            top.merges = []

    def _add_alias(self, event: Any) -> None:
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            inside = any(event.anchor == frame.start.anchor for frame in self._stack)
            words = "refers to itself" if inside else "is not defined"
            raise _problem(f"the alias {shown('*' + event.anchor)} {words}", event)
        anchor.used = True
        self._put(anchor.value, anchor.height, event)

    def _open(self, value: Any, tag: str, event: Any) -> None:
        if event.tag not in {None, "!", _TAG + tag}:
            raise _problem(f"the tag {shown(event.tag)} is not known", event)
        if len(self._stack) >= MAX_DEPTH:
            raise UnreadableError("is nested too deeply")
        self._stack.append(_Open(value, event))
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)

    def _close(self) -> None:
        frame = self._stack.pop()
        height = frame.height + 1
        if height > MAX_DEPTH:
            raise UnreadableError("is nested too deeply")
        if frame.merges:
            self._merge(frame)
        if frame.start.anchor is not None:
            self._anchors[frame.start.anchor] = _Anchor(frame.value, height, 0, None)
            check_anchors(len(self._anchors))
        self._put(frame.value, height, frame.start)

    def _merge(self, frame: _Open) -> None:
        own = dict(frame.value)
        frame.value.clear()
        for base in reversed(frame.merges or []):  # the first one wins
            self._count(len(base))
            frame.value.update(base)
        frame.value.update(own)

    def _put(self, value: Any, height: int, event: Any) -> None:
        """Put a value where it belongs: into the document, into a list, or under a key."""
        self._count(1)
        if not self._stack:
            if len(self._documents) > 1 and value is not None:  # one that is empty changes nothing
                raise _structure("it holds a second document: a file is one set", self._documents[-1])
            self.root = self.root if value is None else value
            return
        top = self._stack[-1]
        top.height = max(top.height, height)
        if type(top.value) is list:
            top.value.append(value)
        elif top.key is None:
            raise _problem("a list or a mapping cannot be a key", event)
        elif top.key == _MERGE and top.merges is not None:
            top.merges += _bases(value, event)
            top.key = None
        else:
            top.value[top.key] = value
            top.key = None

    def _count(self, values: int) -> None:
        self._values += values
        check_values(2 * self._values)  # reading one takes as long as two in JSON

    def _note_cut_text(self, key: str, event: Any) -> None:
        if event.tag == "!":
            message = "begins with !, which YAML drops; put the text in quotes"
            self.notes.append(Note(event.start_mark.line + 1, key, message))
        elif event.implicit[0] and _COMMENT.match(self.text, event.end_mark.index):
            message = (
                "ends before #, where YAML's comments begin; put the text in quotes if # is a part of it"
            )
            self.notes.append(Note(event.end_mark.line + 1, key, message))


def _bases(value: Any, event: Any) -> list[dict[str, Any]]:
    bases = value if isinstance(value, list) else [value]
    if not all(isinstance(base, dict) for base in bases):
        raise _problem("<< takes a mapping or a list of mappings", event)
    return bases


def _scalar(event: Any) -> Any:
    text = event.value
    if event.implicit[0]:
        return plain_value(text)
    if event.tag in {None, "!", f"{_TAG}str"}:
        return text
    value = plain_value(text)
    if not isinstance(value, _SCALAR_TAGS.get(event.tag, ())):
        raise _problem(f"the tag {shown(event.tag)} is not known, or not one of {shown(text)}", event)
    return value


class _StructureError(yaml.MarkedYAMLError):
    """A document that cannot be a set, however its texts are quoted."""


def _structure(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return _StructureError(problem=problem, problem_mark=event.start_mark)


def _problem(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
