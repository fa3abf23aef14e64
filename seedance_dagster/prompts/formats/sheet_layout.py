"""Facts about an Excel sheet that openpyxl does not report: what is hidden, merged or not calculated."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from xml.parsers import expat

from openpyxl.utils import coordinate_to_tuple, range_boundaries

_MARKS = (b"hidden", b"mergeCell", b"<f")
_LONGEST_MARK = max(map(len, _MARKS))
_PIECE_BYTES = 1024 * 1024


@dataclass
class SheetLayout:
    """The hidden, merged and uncalculated cells of a sheet; all numbers count from 1.

    Attributes:
        rows: The hidden rows.
        columns: The first and the last column of each hidden range.
        merged: The merged ranges by their first row: first column, last column and last row.
        uncalculated: The columns of formulas without a result, by row.
        failed: The columns of formulas that gave an error, such as #N/A, by row.
    """

    rows: set[int] = field(default_factory=set)
    columns: list[tuple[int, int]] = field(default_factory=list)
    merged: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    uncalculated: dict[int, list[int]] = field(default_factory=dict)
    failed: dict[int, list[int]] = field(default_factory=dict)

    def has_column(self, number: int) -> bool:
        """Return True if the column is hidden."""
        return any(first <= number <= last for first, last in self.columns)


class _Parser:
    """A parser of a sheet's XML that fills a layout."""

    def __init__(self, layout: SheetLayout) -> None:
        self.layout = layout
        self.expat = expat.ParserCreate(namespace_separator=" ")
        self.expat.StartElementHandler = self.begin
        self.expat.EndElementHandler = self.end
        self._row = 0
        self._cell = ""
        self._has_formula = self._has_result = self._is_error = False

    def begin(self, element: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        is_hidden = attributes.get("hidden") in {"1", "true"}
        match element.rpartition(" ")[2]:
            case "row":
                self._row = int(float(attributes["r"])) if "r" in attributes else self._row + 1
                if is_hidden:
                    self.layout.rows.add(self._row)
            case "c":
                self._cell, self._has_formula = attributes.get("r", ""), False
                self._has_result = attributes.get("t") == "str"  # which may be an empty text
                self._is_error = attributes.get("t") == "e"
            case "f":
                self._has_formula = True
            case "v" if self._has_formula:
                self.expat.CharacterDataHandler = self.result
            case "col" if is_hidden:
                self.layout.columns.append((int(attributes["min"]), int(attributes["max"])))
            case "mergeCell":
                left, top, right, bottom = (number or 1 for number in range_boundaries(attributes["ref"]))
                self.layout.merged.setdefault(top, []).append((left, right, bottom))

    def result(self, _text: str) -> None:
        """Handle the result of a formula."""
        self._has_result = True

    def end(self, element: str) -> None:
        """Handle the end of an element."""
        self.expat.CharacterDataHandler = None
        if not self._has_formula or not self._cell or element.rpartition(" ")[2] != "c":
            return
        if self._is_error or not self._has_result:
            row, column = coordinate_to_tuple(self._cell)
            kind = self.layout.failed if self._is_error else self.layout.uncalculated
            kind.setdefault(row, []).append(column)


def read_layout(parts: zipfile.ZipFile, sheet: str) -> SheetLayout:
    """Return the layout of the sheet at this path of a workbook."""
    layout = SheetLayout()
    if _is_marked(parts, sheet):
        with parts.open(sheet) as part:
            _Parser(layout).expat.ParseFile(part)
    return layout


def _is_marked(parts: zipfile.ZipFile, sheet: str) -> bool:
    """Return False where no such word occurs: most sheets need not be parsed again."""
    end = b""
    with parts.open(sheet) as part:
        while piece := part.read(_PIECE_BYTES):
            end += piece
            if any(mark in end for mark in _MARKS):
                return True
            end = end[-_LONGEST_MARK:]
    return False
