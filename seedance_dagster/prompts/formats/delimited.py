"""CSV and TSV files, as spreadsheets, pandas and people write them."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from seedance_dagster.counting import counted
from seedance_dagster.prompts.bounds import check_columns, check_lines, check_rows, check_values
from seedance_dagster.prompts.formats.tables import HEADER_ROWS, Table, no_prompt
from seedance_dagster.prompts.problems import Problem, UnreadableError, shown

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "|"}
_SEPARATOR = re.compile(r"\A\"?sep=.\"?[,;\t|]*\r?\n", re.IGNORECASE)  # Excel's own first line
_INDEX_NAMES = ("", "Unnamed: 0")  # a column in which pandas wrote its index
_NO_NAME = '\t ,;|"'  # the characters of a row of empty cells
_MOST_HEADER = 100_000


def read_csv(text: str, source: str, required: str, missing: Callable[..., Exception] = no_prompt) -> Table:
    """Read a header and one prompt per row; an empty cell counts as not set.

    The delimiter is the one that gives the header a column `required`, or else the one that it has most of.

    Args:
        text: The text of the file.
        source: Its path or URI.
        required: The column that it must have.
        missing: Returns the error of a file without it, as `no_prompt` does.

    Raises:
        UnreadableError: The file is not CSV, or has no such column.
    """
    check_lines(text.count("\n"))
    text = _SEPARATOR.sub("\n", text, count=1)
    delimiter = _delimiter(text, required)
    check_values(text.count(delimiter))  # one row may hold them all
    reader = csv.reader(
        io.StringIO(text, newline=""), strict=True, delimiter=delimiter, skipinitialspace=True
    )
    rows: list[tuple[str, Sequence[str]]] = []
    problems: list[Problem] = []
    try:
        first = next((cells for cells in reader if any(map(str.strip, cells))), [])
        header = [name.strip() for name in first]
        check_columns(len(header))
        if required not in header:
            below = next((cells for cells in islice(reader, HEADER_ROWS) if _has(cells, required)), None)
            place = None if below is None else f"line {reader.line_num}"
            raise missing(filter(None, header), required, place)
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            check_rows(len(rows) + len(problems) + 1)
            place = f"line {reader.line_num}"
            if len(cells) > len(header) and any(map(str.strip, cells[len(header) :])):
                signs, columns = _DELIMITERS[delimiter], counted(len(header), "column")
                message = f"has {len(cells)} cells for {columns}; put texts with {signs} in quotes"
                problems.append(Problem(source=source, prompt=place, message=message))
            else:
                rows.append((place, cells[: len(header)]))
    except csv.Error as error:
        advice = '; double each " inside a text, and put the text in quotes' if '"' in text else ""
        raise UnreadableError(f"is not valid CSV: {error} (line {reader.line_num}){advice}") from None
    names = _names(header, rows)
    return Table(
        columns=list(names.values()),
        rows=[(place, _cells(names, cells)) for place, cells in rows],
        problems=problems,
        untyped=True,
    )


def _delimiter(text: str, required: str) -> str:
    lines = re.split(r"[\r\n]+", text[:_MOST_HEADER])
    header = next((line for line in lines if line.strip(_NO_NAME)), "")
    for delimiter in _DELIMITERS:
        if required in (name.strip(' "') for name in header.split(delimiter)):
            return delimiter
    return max(_DELIMITERS, key=header.count)


def _names(header: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> dict[int, str]:
    """Return the names of the columns by position, without columns that are empty and unnamed.

    Raises:
        UnreadableError: Two columns share a name, or a column with values has none.
    """
    repeated = [name for name, count in Counter(filter(None, header)).items() if count > 1]
    if repeated:
        raise UnreadableError(f"has two columns named {shown(repeated[0])}; rename one of them")
    names = {position: name for position, name in enumerate(header) if name not in _INDEX_NAMES}
    for position, name in enumerate(header):
        if name in _INDEX_NAMES and not (position == 0 and _is_index(rows)):
            place = next((place for place, cells in rows if _cell(cells, position)), None)
            if place is not None:
                raise UnreadableError(
                    f"has no name for column {position + 1}, which is filled in {place}; name it, or empty it"
                )
    return names


def _is_index(rows: Iterable[tuple[str, Sequence[str]]]) -> bool:
    """Return True where the first column numbers the rows, as pandas does."""
    return all(_cell(cells, 0).isdigit() for _, cells in rows)


def _has(cells: Iterable[str], name: str) -> bool:
    return name in map(str.strip, cells)


def _cell(cells: Sequence[str], position: int) -> str:
    return cells[position].strip() if position < len(cells) else ""


def _cells(names: dict[int, str], cells: Sequence[str]) -> dict[str, str]:
    return {
        names[position]: cell for position, cell in enumerate(cells) if position in names and cell.strip()
    }
