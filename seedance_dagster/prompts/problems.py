"""Problems of prompt files, reported to people: where, what is wrong, and what is allowed."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from seedance_dagster.counting import counted
from seedance_dagster.net.secrets import SafeError

MOST_QUOTED = 80  # characters of a file in a message
_MOST_PROBLEMS = 20  # of one file
_MOST_ALIKE = 3

_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict = 1, 3, 3
_short.maxstring = _short.maxother = MOST_QUOTED


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An error in a prompt file, or a warning about it.

    Attributes:
        source: The file, or another origin of the prompts.
        message: What is wrong and what is allowed, continuing the name of the field, prompt or file:
            "is 20; allowed are whole seconds from 4 to 15".
        prompt: The prompt's position and id; None for the file as a whole.
        field: The field's name; None when the problem is not about one.
        severity: An "error" keeps the file from being loaded, a "warning" does not.

    Example:
        >>> print(Problem(source="a.csv", prompt="line 2", field="takes", message="is 0; ..."))
        a.csv, line 2: takes is 0; ...
    """

    source: str
    message: str
    prompt: str | None = None
    field: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = self.source if self.prompt is None else f"{self.source}, {self.prompt}"
        label = "warning: " if self.severity == "warning" else ""
        field = self.field if self.field is None else self.field[:MOST_QUOTED]
        subject = place if field is None else f"{place}: {label}{field}"
        text = f"{subject} {self.message}"
        if text.isprintable():
            return text
        # Names come from files: they must not break the line or control the terminal.
        return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


class PromptSetError(ValueError):
    """An invalid prompt set; the message lists all problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(format_problems(self.problems))


class UnreadableError(SafeError):
    """A file that cannot be read; the message says where and why."""


def shown(value: Any, most: int = MOST_QUOTED) -> str:
    """Return a short representation of a value, however large or deep it is."""
    text = _short.repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shown_number(value: Any) -> str:
    """Return a short representation of a value that should be a number, and of a text with digits as such."""
    is_text = isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value) is not None
    return f"the text {shown(value)}, not a number" if is_text else shown(value)


def not_a_boolean(value: Any) -> str:
    """Return the problem of a value that is not true or false; it may be a text with one of these words."""
    is_text = isinstance(value, str) and value.strip().lower() in {"true", "false"}
    return f"is {shown(value)}; allowed are true and false" + (", not in quotes" if is_text else "")


def kind_of(value: Any) -> str:
    """Return the kind of a parsed value in words, such as "a list"."""
    words = {
        type(None): "nothing",
        list: "a list",
        dict: "a mapping",
        str: "a text",
        int: "a number",
        float: "a number",
        bool: "true or false",
    }
    return words.get(type(value), f"a {type(value).__name__}")


def summarized(problems: Sequence[Problem], source: str) -> list[Problem]:
    """Return the problems of a file, with equal ones merged, and only the first of many.

    A thousand rows with the same mistake are one line, and errors come first.
    """
    alike: dict[tuple[str, str | None, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault(_kind(problem), []).append(problem)
    lines = _lines(problems, alike)
    first = list(islice(lines, _MOST_PROBLEMS))
    if (following := next(lines, None)) is not None:
        count = sum(len(group) if len(group) <= _MOST_ALIKE else 1 for group in alike.values())
        count -= _MOST_PROBLEMS
        message = f"has {counted(count, 'more problem, which is', 'more problems, which are')} not listed"
        first.append(Problem(source=source, message=message, severity=following.severity))
    return first


def _lines(
    problems: Sequence[Problem], alike: Mapping[tuple[str, str | None, str], Sequence[Problem]]
) -> Iterator[Problem]:
    """Yield a problem for each line, errors first."""
    for severity in ("error", "warning"):
        for problem in problems:
            if problem.severity != severity:
                continue
            group = alike[_kind(problem)]
            if len(group) <= _MOST_ALIKE:
                yield problem
            elif problem is group[0]:
                rows = ", ".join(other.prompt or "" for other in group[:_MOST_ALIKE])
                yield replace(problem, prompt=f"{rows} and {len(group) - _MOST_ALIKE} more")


def _kind(problem: Problem) -> tuple[str, str | None, str]:
    return problem.severity, problem.field, problem.message


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def format_problems(problems: Iterable[Problem]) -> str:
    """Return one line per problem, errors first."""
    ordered = sorted(problems, key=lambda problem: problem.severity)
    return "\n".join(map(str, ordered))
