"""Excel workbooks (.xlsx); they need the extra `excel`, and are read in a process of their own."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import openpyxl

from seedance_dagster.prompts.bounds import (
    check_columns,
    check_lines,
    check_rows,
    check_unpacked,
    check_values,
)
from seedance_dagster.prompts.formats.hidden import Hidden, read_hidden
from seedance_dagster.prompts.formats.tables import has_value, no_prompt
from seedance_dagster.prompts.formats.unpacked import Unpacked
from seedance_dagster.prompts.problems import UnreadableError, first_line, shown

_PIECE_BYTES = 1024 * 1024


def read_xlsx(path: Path, required: str) -> Unpacked:
    """Read a header and one prompt per row of the first visible sheet; an empty cell counts as not set.

    Hidden content is not ordered: a hidden sheet is skipped, a hidden row is a problem.

    Raises:
        UnreadableError: The file is not a workbook, too large, or has no column of prompts.
    """
    problems: list[dict[str, Any]] = []
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
                names = _names(header, required)
            except UnreadableError as error:
                if not others:
                    raise
                raise UnreadableError(f"{error}; only sheet {shown(sheet.title)} is read") from None
            with zipfile.ZipFile(path) as parts:
                hidden = read_hidden(parts, sheet._worksheet_path)  # noqa: SLF001  no public name for it
    columns = [name for position, name in names.items() if hidden.has_column(position + 1)]
    problems += map(_unread, others)
    return Unpacked(
        list(names.values()), _rows(numbered, names, hidden, problems), problems, untyped=True, hidden=columns
    )


def _visible(book: openpyxl.Workbook) -> tuple[Any, list[str]]:
    """Return the first visible sheet, and the titles of the others that are visible and not empty."""
    visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if not visible:
        raise UnreadableError("is not a valid .xlsx file: it has no visible sheet")
    return visible[0], [sheet.title for sheet in visible[1:] if next(_filled(sheet), None)]


def _unread(title: str) -> dict[str, Any]:
    message = "is not read: only the first one is; save it as a file of its own, or hide it"
    return {"field": f"sheet {shown(title)}", "message": message, "severity": "warning"}


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


def _names(header: tuple[Any, ...], required: str) -> dict[int, str]:
    """Return the names of the columns by position."""
    texts = ["" if cell is None else str(cell).strip() for cell in header]
    check_columns(len(texts))
    names = {position: name for position, name in enumerate(texts) if name}
    if required not in names.values():
        raise no_prompt(names.values(), required)
    if len(set(names.values())) != len(names):
        raise UnreadableError("has two columns with the same name; rename one of them")
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
    hidden: Hidden,
    problems: list[dict[str, Any]],
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows that have a value, and note those that cannot be read."""
    count = 0
    with _errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, cells in numbered:
            filled = {position: cell for position, cell in enumerate(cells) if _is_filled(cell)}
            if 0 in filled and 0 not in names and isinstance(filled[0], int):
                del filled[0]  # pandas' index
            count += 1
            check_rows(count)
            if number in hidden.rows:
                message = "is hidden, as by a filter, so it is left out; show it, or delete it"
                problems.append({"prompt": f"row {number}", "message": message})
                continue
            stray = next((position for position in filled if position not in names), None)
            if stray is None:
                yield number, {names[position]: cell for position, cell in filled.items()}
            else:
                message = f"has {shown(filled[stray])} in column {stray + 1}, which has no name"
                problems.append({"prompt": f"row {number}", "message": message})


def _is_filled(cell: Any) -> bool:
    return has_value(cell) and not (isinstance(cell, str) and not cell.strip())
