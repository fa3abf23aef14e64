"""Hidden rows and columns of an Excel sheet, which openpyxl does not report."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from xml.parsers import expat

_MARK = b"hidden"
_PIECE_BYTES = 1024 * 1024


@dataclass
class Hidden:
    """The hidden rows and columns of a sheet.

    Attributes:
        rows: Their numbers, from 1.
        columns: The first and the last column of each range, from 1.
    """

    rows: set[int] = field(default_factory=set)
    columns: list[tuple[int, int]] = field(default_factory=list)
    _row: int = 0

    def has_column(self, number: int) -> bool:
        """Return True if the column is hidden."""
        return any(first <= number <= last for first, last in self.columns)

    def begin(self, element: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        name = element.rpartition(" ")[2]
        if name not in {"row", "col"}:
            return
        is_hidden = attributes.get("hidden") in {"1", "true"}
        if name == "row":
            self._row = int(float(attributes["r"])) if "r" in attributes else self._row + 1
            if is_hidden:
                self.rows.add(self._row)
        elif is_hidden:
            self.columns.append((int(attributes["min"]), int(attributes["max"])))


def read_hidden(parts: zipfile.ZipFile, sheet: str) -> Hidden:
    """Return the hidden rows and columns of the sheet at this path of a workbook."""
    hidden = Hidden()
    if _is_marked(parts, sheet):
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = hidden.begin
        with parts.open(sheet) as part:
            parser.ParseFile(part)
    return hidden


def _is_marked(parts: zipfile.ZipFile, sheet: str) -> bool:
    """Return False where the word does not occur: most sheets need not be parsed again."""
    end = b""
    with parts.open(sheet) as part:
        while piece := part.read(_PIECE_BYTES):
            end += piece
            if _MARK in end:
                return True
            end = end[-len(_MARK) :]
    return False
