"""Excel workbooks (.xlsx); they need the extra `excel`."""

from __future__ import annotations

import io
import warnings
import zipfile
from typing import Any

from seedance_dagster.prompts.bounds import check_columns, check_lines, check_rows, check_unpacked
from seedance_dagster.prompts.problems import Problem, UnreadableError, first_line, shown
from seedance_dagster.prompts.tables import Table, has_value, no_prompt


def read_xlsx(content: bytes, source: str, wanted: str) -> Table:
    """Read a header and one prompt per row of the first sheet; an empty cell counts as not set.

    Raises:
        UnreadableError: The file is not a workbook, too large, or has no column of prompts.
    """
    try:
        import openpyxl  # noqa: PLC0415  heavy, and an extra
    except ModuleNotFoundError:
        raise UnreadableError("needs openpyxl: pip install 'seedance-dagster[excel]'") from None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            check_unpacked(sum(part.file_size for part in parts.infolist()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and other things that are not read
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            try:
                return _read(book, source, wanted)
            finally:
                book.close()
    except UnreadableError:
        raise
    except Exception as error:  # noqa: BLE001  openpyxl lets whatever a broken file causes through
        raise UnreadableError(f"is not a valid .xlsx file: {first_line(error)}") from None


def _read(book: Any, source: str, wanted: str) -> Table:
    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # what a file says of them may be millions of empty cells
    lines = sheet.iter_rows(values_only=True)
    header = ["" if cell is None else str(cell).strip() for cell in next(lines, ())]
    check_columns(len(header))
    names = {position: name for position, name in enumerate(header) if name}
    if wanted not in names.values():
        raise no_prompt(names.values(), wanted)
    if len(set(names.values())) != len(names):
        raise UnreadableError("has two columns with the same name; rename one of them")
    rows: list[tuple[str, dict[str, Any]]] = []
    problems: list[Problem] = []
    for number, cells in enumerate(lines, 2):
        check_lines(number)
        filled = {position: cell for position, cell in enumerate(cells) if _is_filled(cell)}
        if not filled:
            continue
        check_rows(len(rows) + 1)
        stray = next((position for position in filled if position not in names), None)
        if stray is not None:
            message = f"has {shown(filled[stray])} in column {stray + 1}, which has no name"
            problems.append(Problem(source=source, prompt=f"row {number}", message=message))
            continue
        rows.append((f"row {number}", {names[position]: cell for position, cell in filled.items()}))
    return Table(columns=list(names.values()), rows=rows, problems=problems, untyped=True)


def _is_filled(cell: Any) -> bool:
    return has_value(cell) and not (isinstance(cell, str) and not cell.strip())
