"""Reading of prompt files in any format: the rows of a set, or the problems of the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from seedance_dagster.prompts.assembly import RawSet, Row
from seedance_dagster.prompts.bounds import check_rows
from seedance_dagster.prompts.documents import SetDocument, read_document
from seedance_dagster.prompts.formats.delimited import read_csv
from seedance_dagster.prompts.formats.json_text import check_json_values, parse_json
from seedance_dagster.prompts.formats.lines import read_jsonl, read_txt, table_of_objects
from seedance_dagster.prompts.formats.packed import read_packed
from seedance_dagster.prompts.formats.tables import Columns, Table, rows_of
from seedance_dagster.prompts.formats.text import decode
from seedance_dagster.prompts.formats.yaml_text import read_yaml_text
from seedance_dagster.prompts.problems import Problem, UnreadableError, shown
from seedance_dagster.prompts.prompt_file import TABLES, PromptFile
from seedance_dagster.prompts.slugs import slug_name

_NAME = re.compile(r"""^[{ ]*["']?name["']?: *["']?([a-z][a-z0-9_]{0,62})\b""", re.MULTILINE)
_SOURCE = re.compile(r"""^[{ ]*["']?source["']?: *["']?([^"'#,\n]{1,200})""", re.MULTILINE)
_BEGINNING = 100_000  # characters; a set's settings come before its prompts


@dataclass(frozen=True)
class FileContent:
    """The content of a prompt file.

    Attributes:
        raw: Its prompts, not checked yet; None where it is not readable.
        problems: The problems of a file that is not readable.
        table: The table that it names, which is not a set of its own; None without one.
        name: The name of its set, even for a file that is not readable; empty if unknown.
        beginning: The beginning of the text of a set that is not readable; it may name a table in a way that
            `table` does not have.
    """

    raw: RawSet | None
    problems: list[Problem] = field(default_factory=list)
    table: str | None = None
    name: str = ""
    beginning: str = ""


def read_prompt_file(file: PromptFile, beside: Callable[[str], PromptFile]) -> FileContent:
    """Read a prompt file; problems are returned, never raised.

    Args:
        file: The file.
        beside: Returns another file by its path relative to the folder of this one.
    """
    text, document = "", None
    try:
        if file.suffix in TABLES:
            return _of_table(read_table(file, Columns()), file)
        text = decode(file.read())
        document = _document(text, file)
        if isinstance(document, Table):
            return _of_table(document, file)
        content = _of_document(document, file, beside)
        return content if content.raw is not None else replace(content, beginning=text[:_BEGINNING])
    except UnreadableError as error:
        message = str(error)
    except RecursionError:
        message = "is nested too deeply"
    name = slug_name(PurePosixPath(file.source).stem) if file.suffix in TABLES else _field_in(text, _NAME)
    table = document.table if isinstance(document, SetDocument) else _field_in(text, _SOURCE)
    problem = Problem(source=file.source, message=message)
    return FileContent(None, [problem], table, name, text[:_BEGINNING])


def _of_document(document: SetDocument, file: PromptFile, beside: Callable[[str], PromptFile]) -> FileContent:
    rows, problems = document.rows, document.problems
    source = file.source
    if document.table:
        rows, row_problems = _named_rows(document, beside)
        problems = [*problems, *row_problems]
    name = document.name or ""
    if problems and not rows:
        return FileContent(None, problems, document.table, name)
    raw = RawSet(
        name=document.name or "unnamed",  # a missing name is reported with the other problems
        source=source,
        rows=rows,
        defaults=document.defaults,
        budgets=document.budgets,
        problems=problems,
        skip_bad_rows=(document.on_bad_rows or ("skip" if document.table else "refuse")) == "skip",
        matrix=document.matrix,
        finals=document.finals,
        scores=document.scores,
        accept=document.accept,
        rights=document.rights,
        reference_rights=document.reference_rights,
    )
    return FileContent(raw, [], document.table, name)


def _named_rows(
    document: SetDocument, beside: Callable[[str], PromptFile]
) -> tuple[list[Row], list[Problem]]:
    """Return the rows of the table that a set names, each placed in the table's file."""
    try:
        file = beside(str(document.table))
        table = read_table(file, document.columns)
        placed = [(f"{document.table}, {place}", cells) for place, cells in table.rows]
        return rows_of(replace(table, rows=placed), document.columns, file.source)
    except UnreadableError as error:
        raise UnreadableError(f"names as source {shown(document.table)}, which {error}") from None


def _of_table(table: Table, file: PromptFile) -> FileContent:
    rows, problems = rows_of(table, Columns(), file.source)
    stem = PurePosixPath(file.source).stem
    name = slug_name(stem)
    if not name:
        own_name = PurePosixPath(file.source).name
        raise UnreadableError(
            "has no usable character in its name: rename the file, such as to "
            f"spots{file.suffix}, or name it in a YAML set: name: spots, source: {own_name}"
        )
    if problems and not rows:
        return FileContent(None, problems, None, name)
    raw = RawSet(name=name, source=file.source, rows=rows, problems=problems, skip_bad_rows=True)
    return FileContent(raw, [], None, name)


def _document(text: str, file: PromptFile) -> SetDocument | Table:
    if file.suffix == ".json":
        check_json_values(text)
        document = parse_json(text)
        if isinstance(document, list):
            return _table_of_list(document, file.source)
        return read_document(document, file.source)
    document, notes = read_yaml_text(text, texts=("prompt", "template"))
    set_document = read_document(document, file.source)
    set_document.problems.extend(
        Problem(
            source=file.source,
            prompt=f"line {note.line}",
            field=note.field,
            message=note.message,
            severity="warning",
        )
        for note in notes
    )
    return set_document


def _table_of_list(entries: list[object], source: str) -> Table:
    """Return a JSON list of objects, or of texts, as a table."""
    check_rows(len(entries))
    places = [f"entry {number}" for number in range(1, len(entries) + 1)]
    if entries and all(isinstance(entry, str) for entry in entries):
        entries = [{"prompt": entry} for entry in entries]
    return table_of_objects(list(zip(places, entries, strict=True)), source)


def read_table(file: PromptFile, columns: Columns) -> Table:
    """Read a table of any format; raise `UnreadableError` for any other file."""
    if file.suffix not in _READERS:
        raise UnreadableError(f"is not a table; file names end in {', '.join(_READERS)}")
    return _READERS[file.suffix](file.read(), file.source, columns)


def _read_json_list(text: str, source: str) -> Table:
    check_json_values(text)
    document = parse_json(text)
    if not isinstance(document, list):
        raise UnreadableError("is not a table: it must be a list of objects")
    return _table_of_list(document, source)


def _of_text(read: Callable[[str, str], Table]) -> Callable[[bytes, str, Columns], Table]:
    return lambda content, source, _columns: read(decode(content), source)


def _csv(content: bytes, source: str, columns: Columns) -> Table:
    return read_csv(decode(content), source, columns.required)


_READERS: Mapping[str, Callable[[bytes, str, Columns], Table]] = {
    ".jsonl": _of_text(read_jsonl),
    ".ndjson": _of_text(read_jsonl),
    ".json": _of_text(_read_json_list),
    ".csv": _csv,
    ".tsv": _csv,
    ".txt": _of_text(read_txt),
    **dict.fromkeys((".parquet", ".feather", ".arrow", ".xlsx"), read_packed),
}


def _field_in(text: str, pattern: re.Pattern[str]) -> str:
    """Return a field of an unreadable document, so that its assets and its table keep their names."""
    match = pattern.search(text)
    return match[1].strip() if match else ""
