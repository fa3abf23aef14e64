"""Workbooks with hidden rows, columns and sheets: nothing hidden is ordered."""

from __future__ import annotations

import io

import openpyxl
import pytest
from prompts_support import load, problems_of

HEADER = ["id", "prompt", "duration", "wave"]
ROWS = [["cat", "A cat", 5, "x"], ["dog", "A dog", 6, "y"], ["fox", "A fox", 7, None]]
LEFT_OUT = "is hidden, as by a filter, so it is left out; show it, or delete it"
NOT_READ = "is not read: only the first one is; save it as a file of its own, or hide it"


def new_book() -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.active.title = "Prompts"
    for cells in [HEADER, *ROWS]:
        book.active.append(cells)
    return book


def load_book(folder, book, **files):
    content = io.BytesIO()
    book.save(content)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return load(folder, "a.xlsx", content.getvalue())


def ids(loaded) -> list[str]:
    return [prompt.id for prompt_set in loaded.sets for prompt in prompt_set.prompts]


def test_a_row_that_a_filter_hides_is_not_ordered(tmp_path):
    """Only the rows that people see become prompts, and an error names the others."""
    book = new_book()
    book.active.auto_filter.ref = "A1:D4"
    book.active.auto_filter.add_filter_column(0, ["dog"])
    for row in (2, 4):
        book.active.row_dimensions[row].hidden = True
    loaded = load_book(tmp_path, book)
    assert ids(loaded) == ["dog"]
    assert problems_of(loaded) == [("row 2", None, LEFT_OUT), ("row 4", None, LEFT_OUT)]
    assert len(loaded.errors) == 2


def test_many_hidden_rows_are_one_error(tmp_path):
    """Many hidden rows are one error, in which rows without a value do not count."""
    book = new_book()
    for row in range(5, 30):
        book.active.cell(row, 2, None if row % 2 else f"A cat on {row} roofs")
        book.active.row_dimensions[row].hidden = True
    loaded = load_book(tmp_path, book)
    assert ids(loaded) == ["cat", "dog", "fox"]
    assert problems_of(loaded) == [("row 6, row 8, row 10 and 9 more", None, LEFT_OUT)]


def test_a_set_refuses_hidden_rows_where_it_refuses_bad_ones(tmp_path):
    """A set that names the workbook, and refuses bad rows, is left out as a whole."""
    book = new_book()
    book.active.row_dimensions[3].hidden = True
    load_book(tmp_path, book)
    loaded = load(tmp_path, "named.yaml", "name: named\nsource: a.xlsx\non_bad_rows: refuse\n")
    assert (ids(loaded), len(loaded.errors)) == ([], 1)


@pytest.mark.parametrize(
    ("column", "expected", "severity", "message"),
    [
        ("C", [], "error", "is hidden and holds the field duration; show it, or delete it"),
        ("D", ["cat", "dog", "fox"], "warning", "is hidden, and kept as a tag; show it, or delete it"),
    ],
)
def test_a_hidden_column_is_named(tmp_path, column, expected, severity, message):
    """A hidden column that changes videos is an error of the file; a hidden tag is a warning."""
    book = new_book()
    book.active.column_dimensions[column].hidden = True
    loaded = load_book(tmp_path, book)
    name = {"C": "duration", "D": "wave"}[column]
    assert ids(loaded) == expected
    assert problems_of(loaded) == [(None, f"column '{name}'", message)]
    assert [problem.severity for problem in loaded.problems] == [severity]


def test_a_hidden_column_that_is_not_used_is_no_problem(tmp_path):
    """A column without a value, and one that a set does not list among its tags, change nothing."""
    book = new_book()
    book.active["E1"] = "takes"
    book.active.column_dimensions.group("D", "E", hidden=True)
    load_book(tmp_path, book)
    loaded = load(tmp_path, "named.yaml", "name: named\nsource: a.xlsx\ntags: []\n")
    assert (ids(loaded), problems_of(loaded)) == (["cat", "dog", "fox"], [])


def test_further_sheets_are_named(tmp_path):
    """Those that hold something and are seen are warnings; empty and hidden ones are as people mean them."""
    book = new_book()
    book.create_sheet("Sheet2")
    book.create_sheet("More")["B7"] = "A cat"
    lists = book.create_sheet("Lists")
    lists["A1"], lists.sheet_state = "720p", "hidden"
    loaded = load_book(tmp_path, book)
    assert (ids(loaded), loaded.errors) == (["cat", "dog", "fox"], ())
    assert problems_of(loaded) == [(None, "sheet 'More'", NOT_READ)]


def test_the_first_sheet_that_is_seen_is_read(tmp_path):
    """A hidden sheet in front of it is passed over."""
    book = new_book()
    first = book.create_sheet("Old", 0)
    first.append(["prompt"])
    first.append(["An old cat"])
    first.sheet_state = "veryHidden"
    loaded = load_book(tmp_path, book)
    assert (ids(loaded), problems_of(loaded)) == (["cat", "dog", "fox"], [])


def test_a_first_sheet_without_prompts_is_named(tmp_path):
    """A cover sheet is an error that says which sheet was read."""
    book = new_book()
    book.create_sheet("Cover", 0)["A1"] = "Spring"
    [(_, _, message)] = problems_of(load_book(tmp_path, book))
    assert message == ("needs a column named prompt; its columns are 'Spring'; only sheet 'Cover' is read")


def test_a_mark_that_lies_across_two_reads_is_found(tmp_path, monkeypatch):
    """However a sheet is cut while it is searched, its hidden rows are known."""
    from seedance_dagster.prompts.formats import sheet_layout

    book, path = new_book(), tmp_path / "a.xlsx"
    book.active.row_dimensions[3].hidden = True
    book.save(path)
    for size in range(1, 12):
        monkeypatch.setattr(sheet_layout, "_PIECE_BYTES", size)
        with sheet_layout.zipfile.ZipFile(path) as parts:
            assert sheet_layout.read_layout(parts, "xl/worksheets/sheet1.xml").rows == {3}
