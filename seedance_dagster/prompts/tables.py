"""Prompt files with one prompt per row: JSONL, CSV and Parquet. Columns that are not fields become tags."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seedance_dagster.api.wire import REFERENCE_KINDS
from seedance_dagster.prompts.assembly import PROMPT_FIELDS, Row, tag_text
from seedance_dagster.prompts.documents import parse_json
from seedance_dagster.prompts.lookalikes import field_meant
from seedance_dagster.prompts.problems import Problem, UnreadableError, first_line, shown

_URL_FIELDS = tuple(f"{kind}_urls" for kind in REFERENCE_KINDS)
_NUMBER_FIELDS = ("duration", "takes")
_BOOLEAN_FIELDS = ("audio", "fresh", "remove_watermark")
_BOOLEANS = {"true": True, "false": False}
_TAG = re.compile("^tags?[.:]")  # in front of a column that is a tag whatever it resembles
_SHOWN_COLUMNS = 20


def read_jsonl(text: str, source: str) -> tuple[list[Row], list[Problem]]:
    """Read one JSON object per line; skip empty lines."""
    rows: list[Row] = []
    problems: list[Problem] = []
    # Not splitlines(): texts may contain the other line ends that it knows.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            entry = parse_json(line, number)
        except UnreadableError as error:
            problems.append(Problem(source=source, prompt=place, message=str(error)))
            continue
        if not isinstance(entry, Mapping):
            problems.append(
                Problem(source=source, prompt=place, message='must be an object, such as {"prompt": "..."}')
            )
            continue
        rows.append(_row(place, entry))
    return rows, problems


def read_csv(text: str, source: str) -> tuple[list[Row], list[Problem]]:
    """Read a header and one prompt per row; an empty cell counts as not set."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    problems: list[Problem] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_columns(header)
        for cells in reader:
            place = f"line {reader.line_num}"
            if not any(cells):
                continue
            if len(cells) > len(header):
                message = f"has {len(cells)} cells for {len(header)} columns; put texts with commas in quotes"
                problems.append(Problem(source=source, prompt=place, message=message))
                continue
            entry = {name: cell for name, cell in zip(header, cells, strict=False) if cell != ""}
            rows.append(_row(place, {name: _typed(name, cell) for name, cell in entry.items()}))
    except csv.Error as error:
        raise UnreadableError(f"is not valid CSV: {error} (line {reader.line_num})") from None
    return rows, problems


def read_parquet(content: bytes) -> list[Row]:
    """Read one prompt per row; needs the extra `parquet`."""
    try:
        import pyarrow as pa  # noqa: PLC0415  heavy, and an extra
        import pyarrow.parquet as pq  # noqa: PLC0415  heavy, and an extra
    except ModuleNotFoundError:
        raise UnreadableError("needs pyarrow: pip install 'seedance-dagster[parquet]'") from None
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        _check_columns(file.schema_arrow.names)
        entries = file.read().to_pylist(maps_as_pydicts="strict")
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError) as error:
        raise UnreadableError(f"is not valid Parquet: {first_line(error)}") from None
    return [
        _row(f"row {number}", {name: _whole(name, value) for name, value in entry.items()})
        for number, entry in enumerate(entries, 1)
    ]


def name_tags(rows: Sequence[Row], source: str) -> tuple[list[Row], list[Problem]]:
    """Return the rows of a table with their tags named, and the columns that resemble a field and are none.

    A column `tag:Duration` is the tag `Duration` in so many words.
    """
    columns = dict.fromkeys(name for row in rows for name in row.tags)
    names = {column: _TAG.sub("", column) for column in columns}
    if rows and not any("prompt" in row.fields for row in rows):
        there = dict.fromkeys(name for row in rows for name in (*row.fields, *row.tags))
        raise _no_prompt(there)
    problems = [
        Problem(
            source=source,
            field=f"column {shown(column)}",
            message=f"resembles the field {field} and is none; rename it to {field}, or for a tag to "
            f"tag:{column}",
        )
        for column in columns
        if names[column] == column and (field := field_meant(column)) is not None
    ]
    renamed = [
        replace(row, tags={names[column]: tag for column, tag in row.tags.items()}) if row.tags else row
        for row in rows
    ]
    return renamed, problems


def _no_prompt(columns: Iterable[str]) -> UnreadableError:
    columns = list(columns)
    listed = ", ".join(map(shown, columns[:_SHOWN_COLUMNS])) or "none"
    more = f" and {len(columns) - _SHOWN_COLUMNS} more" if len(columns) > _SHOWN_COLUMNS else ""
    return UnreadableError(f"needs a column named prompt; its columns are {listed}{more}")


def _check_columns(names: list[str]) -> None:
    if "prompt" not in names:
        raise _no_prompt(names)
    if len(set(names)) != len(names) or "" in names:
        raise UnreadableError("has two columns with the same name, or one without a name")


def _row(place: str, entry: Mapping[str, Any]) -> Row:
    cells = {str(name): value for name, value in entry.items() if value is not None}
    return Row(
        place=place,
        fields={name: value for name, value in cells.items() if name in PROMPT_FIELDS},
        tags={name: tag_text(value) for name, value in cells.items() if name not in PROMPT_FIELDS},
    )


def _typed(name: str, cell: str) -> Any:
    """Convert a cell to its field's type where possible; the rules report the rest."""
    if name in _NUMBER_FIELDS and re.fullmatch(r"\s*[0-9]{1,9}\s*", cell):
        return int(cell)
    if name in _URL_FIELDS:
        return _url_list(cell)
    if name in _BOOLEAN_FIELDS:
        return _BOOLEANS.get(cell.strip().lower(), cell)
    return _json(cell) if name == "tags" else cell


def _whole(name: str, value: Any) -> Any:
    """Convert whole floats back to integers: pandas writes floats where some rows have no value."""
    whole = name in _NUMBER_FIELDS and isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


def _url_list(cell: str) -> Any:
    if cell.lstrip().startswith("["):
        return _json(cell)
    return [url for url in re.split(r"[\s|]+", cell) if url]


def _json(cell: str) -> Any:
    try:
        return parse_json(cell)
    except UnreadableError:
        return cell
