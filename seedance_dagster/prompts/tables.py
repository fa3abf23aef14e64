"""Prompt files with a prompt a row: JSONL, CSV and Parquet. Columns that are no fields become tags."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from seedance_dagster.prompts.assembly import PROMPT_FIELDS, Row, tag_text
from seedance_dagster.prompts.documents import parse_json
from seedance_dagster.prompts.problems import Problem, UnreadableError, first_line

_URL_FIELDS = ("image_urls", "video_urls", "audio_urls")
_NUMBER_FIELDS = ("duration", "takes")
_BOOLEANS = {"true": True, "false": False}


def read_jsonl(text: str, source: str) -> tuple[list[Row], list[Problem]]:
    """One JSON object a line; empty lines are passed over."""
    rows: list[Row] = []
    problems: list[Problem] = []
    # Not splitlines(): texts may hold the other line ends that it knows.
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
    """A header and one prompt a row; cells are texts, empty ones are not given."""
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
                message = f"has {len(cells)} cells for {len(header)} columns; quote texts with commas"
                problems.append(Problem(source=source, prompt=place, message=message))
                continue
            entry = {name: cell for name, cell in zip(header, cells, strict=False) if cell != ""}
            rows.append(_row(place, {name: _typed(name, cell) for name, cell in entry.items()}))
    except csv.Error as error:
        raise UnreadableError(f"is no valid CSV: {error} (line {reader.line_num})") from None
    return rows, problems


def read_parquet(content: bytes) -> list[Row]:
    """One prompt a row; needs the extra `parquet`."""
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
        raise UnreadableError(f"is no valid Parquet: {first_line(error)}") from None
    return [
        _row(f"row {number}", {name: _whole(name, value) for name, value in entry.items()})
        for number, entry in enumerate(entries, 1)
    ]


def _check_columns(names: list[str]) -> None:
    if "prompt" not in names:
        raise UnreadableError(f"needs a column named prompt; it has {', '.join(names) or 'none'}")
    if len(set(names)) != len(names) or "" in names:
        raise UnreadableError("has two columns of one name, or one without a name")


def _row(place: str, entry: Mapping[str, Any]) -> Row:
    given = {str(name): value for name, value in entry.items() if value is not None}
    return Row(
        place=place,
        fields={name: value for name, value in given.items() if name in PROMPT_FIELDS},
        tags={name: tag_text(value) for name, value in given.items() if name not in PROMPT_FIELDS},
    )


def _typed(name: str, cell: str) -> Any:
    """A cell as the field's type where it can be read as such; the rules say the rest."""
    if name in _NUMBER_FIELDS and re.fullmatch(r"\s*[0-9]{1,9}\s*", cell):
        return int(cell)
    if name in _URL_FIELDS:
        return _url_list(cell)
    if name == "audio":
        return _BOOLEANS.get(cell.strip().lower(), cell)
    return _json(cell) if name == "tags" else cell


def _whole(name: str, value: Any) -> Any:
    """Whole numbers again, where pandas made floats of them because some rows have none."""
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
