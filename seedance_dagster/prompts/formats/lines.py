"""Files with one prompt on each line: JSONL, and plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from seedance_dagster.prompts.bounds import MAX_PROMPTS, check_columns, check_rows
from seedance_dagster.prompts.formats.json_text import check_json_values, parse_json
from seedance_dagster.prompts.formats.tables import Table, has_value
from seedance_dagster.prompts.problems import Problem, UnreadableError, shown

_FILLED = re.compile(r"\S")
_OTHER_FORMATS = {
    ".tsv": re.compile(r"[^\t]*\t.*"),
    ".csv": re.compile(r"""(?:.*[,;|])?[ "]*prompt[ "]*(?:[,;|].*)?""", re.IGNORECASE),
    ".yaml": re.compile(r"---|%YAML .*|name:\s.*|prompts:|- prompt:.*|prompt:\s.*"),
    ".jsonl": re.compile(r"""\{\s*".*"""),
    ".json": re.compile(r"""\[|\{|\[\s*["{].*"""),
}
_NOT_PROMPTS = {
    "settings": re.compile(
        r"""(?:export )?[A-Za-z_][\w.-]*(?:=\S*| = ?["'\[{0-9].*)|\[+[\w.-]+\]+""", re.ASCII
    ),
    "a list in a program": re.compile(r"""(["']).*\1\s*,"""),
    "a chat": re.compile(r"(?:user|assistant|(?:you|chatgpt) said):.*", re.IGNORECASE),
    "SQL": re.compile(r"(?:insert into|create table|select \S+ from)\b.*", re.IGNORECASE),
    "XML": re.compile(r"<\?xml\b.*|<(\w+)[^>]*>.*</\1>"),
    "a key or a certificate": re.compile(r"-----BEGIN .*"),
    "the error of a download": re.compile(
        r"(?:[45]\d\d:? )?(?:not found|forbidden|unauthorized|access denied|bad gateway|server error)\.?",
        re.IGNORECASE,
    ),
}
_MARKED = re.compile(
    r"(?:[0-9]{1,5}[.):]|[-*\u2022]|\W*(?:scene|shot|prompt|clip) ?[0-9]{1,4}\W+)\s.*"
    r"|([\"'\u201c]).*[\"'\u201d]",
    re.IGNORECASE,
)
_SHORTEST_BROKEN = 40  # characters of a line that an editor broke
_LIST = re.compile(r"\s*\[\s*(?:[{\"].*)?$", re.MULTILINE)
_NOT_AN_OBJECT = 'must be an object, such as {"prompt": "..."}'


def read_jsonl(text: str, source: str) -> Table:
    """Read one JSON object per line; skip empty lines."""
    check_json_values(text)
    if _LIST.match(text):
        raise UnreadableError("is a JSON list, not one object on each line; rename it to .json")
    if text.count("\n") >= MAX_PROMPTS:  # before a million broken lines are parsed
        for count, _ in enumerate(_lines(text), 1):
            check_rows(count)
    entries: list[tuple[str, Any]] = []
    problems: list[Problem] = []
    for count, (number, line) in enumerate(_lines(text), 1):
        check_rows(count)
        place = f"line {number}"
        try:
            entries.append((place, parse_json(line, one_line=True)))
        except UnreadableError as error:
            problems.append(Problem(source=source, prompt=place, message=str(error)))
    return table_of_objects(entries, source, problems)


def table_of_objects(
    entries: list[tuple[str, Any]], source: str, problems: list[Problem] | None = None
) -> Table:
    """Return a table of JSON objects; an entry that is not an object is a problem.

    Raises:
        UnreadableError: They have too many different keys.
    """
    problems = problems or []
    rows, columns = [], dict[str, None]()
    for place, entry in entries:
        if isinstance(entry, Mapping):
            if not columns.keys() >= entry.keys():
                columns |= dict.fromkeys(map(str, entry))
                check_columns(len(columns))
            rows.append((place, {str(name): value for name, value in entry.items() if has_value(value)}))
        else:
            problems.append(Problem(source=source, prompt=place, message=_NOT_AN_OBJECT))
    return Table(columns=list(columns), rows=rows, problems=problems)


def read_txt(text: str, source: str) -> Table:
    """Read one prompt per line; skip empty lines.

    Raises:
        UnreadableError: It begins like a file of another format, each line of which would be paid for.
    """
    rows, problems = [], []
    for count, (number, line) in enumerate(_lines(text.replace("\r\n", "\n").replace("\r", "\n")), 1):
        check_rows(count)
        prompt, place = line.strip(), f"line {number}"
        if count == 1:
            _check_is_text(prompt)
        if prompt.startswith(("# ", "##")):
            message = "begins with # and is ordered like the others; remove the line if it is a comment"
            problems.append(
                Problem(source=source, prompt=place, field="prompt", message=message, severity="warning")
            )
        rows.append((place, {"prompt": prompt}))
    if len(rows) > 1 and all(_MARKED.fullmatch(row["prompt"]) for _, row in rows):
        message = "has a number, a bullet or quotes, which are sent too; remove them if not meant"
        problems.append(Problem(source=source, field="each line", message=message, severity="warning"))
    if (broken := _broken_at(rows)) is not None:
        message = f"is a prompt of its own, and {broken} seems to continue the one above; join them"
        problems.append(Problem(source=source, field="each line", message=message, severity="warning"))
    return Table(columns=["prompt"], rows=rows, problems=problems)


def _broken_at(rows: list[tuple[str, dict[str, str]]]) -> str | None:
    """Return the place of the first line that begins in the middle of a sentence; None if there is none.

    Only paragraphs, which blank lines separate, are broken by editors.
    """
    numbers = [int(place.removeprefix("line ")) for place, _ in rows]
    if not numbers or numbers[-1] - numbers[0] < len(rows):
        return None
    for (number, (_, above)), (following, (place, below)) in pairwise(zip(numbers, rows, strict=True)):
        first, second = above["prompt"], below["prompt"]
        is_open = len(first) >= _SHORTEST_BROKEN and first[0].isupper() and first[-1].isalnum()
        if is_open and second[0].islower() and following == number + 1:
            return place
    return None


def _check_is_text(first: str) -> None:
    """Raise `UnreadableError` for the first line of a table or a document."""
    ending = next((ending for ending, begin in _OTHER_FORMATS.items() if begin.fullmatch(first)), None)
    if ending is not None:
        raise UnreadableError(
            f"begins like a {ending} file, with {shown(first, 40)}; rename it to {ending}, or keep "
            "only prompts in it, one on each line"
        )
    kind = next((kind for kind, begin in _NOT_PROMPTS.items() if begin.fullmatch(first)), None)
    if kind is not None:
        # The line is not quoted: it may hold a secret.
        raise UnreadableError(f"begins like {kind}; keep only prompts in it, one on each line")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers.

    Not splitlines(): texts may contain the other line ends that it knows. Blank lines, of which a file may
    have millions, are skipped all at once.
    """
    number, position = 1, 0
    while (filled := _FILLED.search(text, position)) is not None:
        number += text.count("\n", position, filled.start())
        begin = text.rfind("\n", position, filled.start()) + 1 or position
        end = text.find("\n", filled.start())
        end = len(text) if end < 0 else end
        yield number, text[begin:end]
        position, number = end + 1, number + 1
