"""Excel workbooks (.xlsx); they need the extra `excel`, and are read in a process of their own."""

from __future__ import annotations

import contextlib
import datetime as dt
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils.escape import unescape

from seedance_dagster.prompts.assembly import PROMPT_FIELDS
from seedance_dagster.prompts.bounds import (
    check_columns,
    check_lines,
    check_rows,
    check_unpacked,
    check_values,
)
from seedance_dagster.prompts.formats.sheet_layout import SheetLayout, read_layout
from seedance_dagster.prompts.formats.tables import HEADER_ROWS, has_value, no_prompt
from seedance_dagster.prompts.formats.unpacked import Unpacked
from seedance_dagster.prompts.problems import UnreadableError, first_line, shown

_PIECE_BYTES = 1024 * 1024
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_MOST_BEGIN = 4
_MIDNIGHT = dt.time()


def read_xlsx(path: Path, required: str) -> Unpacked:
    """Read a header and one prompt per row of the first visible sheet; an empty cell counts as not set.

    Hidden content is not ordered: a hidden sheet is skipped, a hidden row is a problem. A merged cell has its
    value in each of its rows.

    Raises:
        UnreadableError: The file is not a workbook, too large, or has no column of prompts.
    """
    problems: list[dict[str, Any]] = []
    _check_kind(path)
    with _errors():
        with zipfile.ZipFile(path) as parts:
            check_unpacked(sum(part.file_size for part in parts.infolist()))
            _check_parts(parts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and other things that are not read
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            sheet, others = _visible(book)
            numbered = _filled(sheet)
            header = next(numbered, (0, ()))[1]
            try:
                names = _names(header, required, islice(numbered, HEADER_ROWS))
            except UnreadableError as error:
                if not others:
                    raise
                raise UnreadableError(f"{error}; only sheet {shown(sheet.title)} is read") from None
            with zipfile.ZipFile(path) as parts:
                layout = read_layout(parts, sheet._worksheet_path)  # noqa: SLF001  no public name for it
    columns = [name for position, name in names.items() if layout.has_column(position + 1)]
    problems += map(_unread, others)
    rows = _rows(numbered, names, required, layout, problems)
    return Unpacked(list(names.values()), rows, problems, untyped=True, hidden=columns)


def _visible(book: openpyxl.Workbook) -> tuple[Any, list[str]]:
    """Return the first visible sheet, and the titles of the others that are visible and not empty."""
    visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if not visible:
        raise UnreadableError("is not a valid .xlsx file: it has no visible sheet")
    return visible[0], [sheet.title for sheet in visible[1:] if next(_filled(sheet), None)]


def _unread(title: str) -> dict[str, Any]:
    message = "is not read: only the first one is; save it as a file of its own, or hide it"
    return {"field": f"sheet {shown(title)}", "message": message, "severity": "warning"}


def _check_kind(path: Path) -> None:
    """Raise `UnreadableError` for a file of another kind that was named like a workbook."""
    with path.open("rb") as file:
        begin = file.read(_MOST_BEGIN)
    if not begin:
        raise UnreadableError("is empty (0 bytes)")
    if begin.startswith(_OLD_OFFICE):
        raise UnreadableError(
            "is protected with a password, or has the old .xls format; save it as .xlsx without a password"
        )
    if begin.isascii() and begin.decode().isprintable() and not begin.startswith(b"PK"):
        raise UnreadableError("is text, not a workbook; rename it to .csv")


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn any error about a broken file into `UnreadableError`: openpyxl passes them on."""
    try:
        yield
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  see above
        raise UnreadableError(f"is not a valid .xlsx file: {first_line(error)}") from None


def _check_parts(parts: zipfile.ZipFile) -> None:
    """Raise `UnreadableError` for more elements, or a longer text, than can be read in reasonable time."""
    elements = 0
    for name in parts.namelist():
        with parts.open(name) as part:
            while piece := part.read(_PIECE_BYTES):
                inside = piece.count(b"<")
                if not inside and len(piece) == _PIECE_BYTES and name.endswith(".xml"):
                    raise UnreadableError(
                        "holds a text of more than 1 MB; a cell of Excel has at most 32767 characters"
                    )
                elements += inside
                check_values(elements)


def _names(
    header: tuple[Any, ...], required: str, following: Iterator[tuple[int, tuple[Any, ...]]]
) -> dict[int, str]:
    """Return the names of the columns by position; the following rows are only read if they are missing."""
    texts = ["" if cell is None else str(_value(cell)).strip() for cell in header]
    check_columns(len(texts))
    names = {position: name for position, name in enumerate(texts) if name}
    if required not in names.values():
        below = next((f"row {number}" for number, cells in following if required in cells), None)
        raise no_prompt(names.values(), required, below)
    if repeated := [name for name, count in Counter(names.values()).items() if count > 1]:
        raise UnreadableError(f"has two columns named {shown(repeated[0])}; rename one of them")
    return names


def _filled(sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the rows that are not empty, with their numbers."""
    sheet.reset_dimensions()  # a file may claim millions of empty cells
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        check_lines(number)
        if any(map(_is_filled, cells)):
            yield number, cells


def _rows(
    numbered: Iterator[tuple[int, tuple[Any, ...]]],
    names: Mapping[int, str],
    required: str,
    layout: SheetLayout,
    problems: list[dict[str, Any]],
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows that have a value, and note those that cannot be read."""
    count = 0
    unseen = set(layout.uncalculated)
    merged: dict[int, tuple[int, Any]] = {}  # by position, the last row of a merged cell and its value
    with _errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, cells in numbered:
            filled = {position: _value(cell) for position, cell in enumerate(cells) if _is_filled(cell)}
            if 0 in filled and 0 not in names and isinstance(filled[0], int):
                del filled[0]  # pandas' index
            filled |= {
                position: value
                for position, (last, value) in merged.items()
                if number <= last and position not in filled
            }
            count += 1
            check_rows(count)
            unseen.discard(number)
            for first, _, last in layout.merged.get(number, ()):
                if first - 1 in filled:
                    merged[first - 1] = (last, filled[first - 1])
            problem = _problem(number, filled, names, required, layout)
            if problem is None:
                yield number, {names[position]: cell for position, cell in filled.items()}
            else:
                problems.append({"prompt": f"row {number}", **problem})
    problems += (
        {"prompt": f"row {number}", "message": message}
        for number in sorted(unseen)  # rows that seem empty
        if (message := _wrong_formula(number, names, required, layout))
    )


def _problem(
    number: int, filled: Mapping[int, Any], names: Mapping[int, str], required: str, layout: SheetLayout
) -> dict[str, str] | None:
    """Return why a row gives no prompt; None where it does."""
    if number in layout.rows:
        return {"message": "is hidden, as by a filter, so it is left out; show it, or delete it"}
    if message := _wrong_formula(number, names, required, layout):
        return {"message": message}
    for position, cell in filled.items():
        if position not in names:
            return {"message": f"has {shown(cell)} in column {position + 1}, which has no name"}
        if names[position] == required and isinstance(cell, dt.date | dt.time | dt.timedelta):
            message = f"is {cell}, a date or a time of Excel; format the cell as text and write it again"
            return {"field": required, "message": message}
    for first, last, _ in layout.merged.get(number, ()):
        if sum(first <= position + 1 <= last for position in names) > 1:
            return {
                "message": "has a cell merged over several columns, like a heading; unmerge it, or delete it"
            }
    return None


def _wrong_formula(number: int, names: Mapping[int, str], required: str, layout: SheetLayout) -> str | None:
    for at in layout.uncalculated.get(number, ()):
        if at - 1 in names:
            column = shown(names[at - 1])
            return f"has a formula without a result in column {column}; open the file in Excel and save it"
    for at in layout.failed.get(number, ()):
        if (name := names.get(at - 1)) == required or name in PROMPT_FIELDS:
            return f"has a formula with an error in column {shown(name)}; correct it"
    return None


def _value(cell: Any) -> Any:
    """Return the value of a cell, with a date as such, and a text without the escapes of Excel's XML."""
    if isinstance(cell, str):
        return unescape(cell)
    return cell.date() if isinstance(cell, dt.datetime) and cell.time() == _MIDNIGHT else cell


def _is_filled(cell: Any) -> bool:
    return has_value(cell) and not (isinstance(cell, str) and not cell.strip())
