"""Problems of prompt files, told to people: where, what, and what is allowed."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict = 1, 3, 3
_short.maxstring = _short.maxother = 80


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, or worth knowing, about a prompt file.

    Attributes:
        source: The file, or what stands for it.
        prompt: The prompt's id or line; None for the file as a whole.
        field: The field's name; None when it is not about one.
        message: What is wrong and what is allowed.
        severity: An "error" keeps the file from being loaded, a "warning" does not.
    """

    source: str
    message: str
    prompt: str | None = None
    field: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = [self.source]
        if self.prompt is not None:
            place.append(self.prompt)
        if self.field is not None:
            place.append(self.field)
        label = "" if self.severity == "error" else "warning: "
        text = f"{': '.join(place)}: {label}{self.message}"
        # Names come from files: none may break the line or steer the terminal.
        return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class PromptSetError(ValueError):
    """A prompt set cannot be used; its text is the whole report."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(format_problems(self.problems))


class UnreadableError(Exception):
    """A file's content cannot be read as what its name says; the message says where and why."""


def shown(value: Any) -> str:
    """A value of a file as people may read it: short, however large or deep it is."""
    return _short.repr(value)


def first_line(error: Exception) -> str:
    """What an error says, without the pages that some add."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def format_problems(problems: Iterable[Problem]) -> str:
    """One line per problem, errors first."""
    ordered = sorted(problems, key=lambda problem: problem.severity)
    return "\n".join(map(str, ordered))
