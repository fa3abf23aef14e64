"""Cells of workbooks that show something else than their file says: merged, calculated, dated or escaped."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile

import openpyxl
import pytest
from prompts_support import load, only_prompt, problems_of

HEADER = ["id", "prompt", "duration", "scene"]
NOT_CALCULATED = "has a formula without a result in column {}; open the file in Excel and save it"


def load_rows(folder, *rows, merged=(), header=HEADER, results=None):
    book = openpyxl.Workbook()
    for cells in [header, *rows]:
        book.active.append(cells)
    for cells in merged:
        book.active.merge_cells(cells)
    content = io.BytesIO()
    book.save(content)
    return load(folder, "a.xlsx", with_results(content, results or {}))


def with_results(content: io.BytesIO, results: dict[str, str]) -> bytes:
    """Return a workbook in which formulas have results, all of them errors, as Excel writes them."""
    written = io.BytesIO()
    with zipfile.ZipFile(content) as book, zipfile.ZipFile(written, "w") as copy:
        for name in book.namelist():
            part = book.read(name).decode()
            for cell, result in results.items():
                part = re.sub(
                    rf'<c r="{cell}"([^>]*)>(<f>.*?</f>)<v ?/?>(</v>)?',
                    rf'<c r="{cell}"\1 t="e">\2<v>{result}</v>',
                    part,
                )
            copy.writestr(name, part)
    return written.getvalue()


def test_a_merged_cell_has_its_value_in_each_of_its_rows(tmp_path):
    """A duration that is shown for three rows is not paid for in the first alone."""
    loaded = load_rows(
        tmp_path,
        ["cat", "A cat", 10, "roof"],
        ["dog", "A dog", None, None],
        ["fox", "A fox", None, None],
        ["owl", "An owl", None, None],
        merged=["C2:C4", "D2:D3"],
    )
    assert problems_of(loaded) == []
    assert [(prompt.request.duration, prompt.tags) for prompt in loaded.sets[0].prompts] == [
        (10, {"scene": "roof"}),
        (10, {"scene": "roof"}),
        (10, {}),
        (5, {}),
    ]


def test_a_heading_inside_a_table_is_not_a_prompt(tmp_path):
    """A title that is merged over several columns is named, and not paid for."""
    loaded = load_rows(
        tmp_path,
        ["Part 2: at night"],
        ["A cat", 6],
        merged=["A2:B2"],
        header=["prompt", "duration"],
    )
    message = "has a cell merged over several columns, like a heading; unmerge it, or delete it"
    assert problems_of(loaded) == [("row 2", None, message)]
    assert [prompt.request.prompt for prompt in loaded.sets[0].prompts] == ["A cat"]


def test_a_title_above_the_header_of_a_workbook_is_named(tmp_path):
    """The error says where the header is."""
    [(_, _, message)] = problems_of(
        load_rows(tmp_path, [], HEADER, ["cat", "A cat", 5, "x"], header=["Shots"])
    )
    assert (
        message
        == "needs a column named prompt; its columns are 'Shots'; row 3 has it: remove what stands above"
    )


def test_a_formula_without_a_result_is_not_an_empty_cell(tmp_path):
    """Libraries write formulas without results; no default is paid for in the place of one."""
    loaded = load_rows(
        tmp_path,
        ["cat", "A cat", "=4*2", None],
        ["=A9", '=CONCAT("A ", "dog")', None, None],
        ["fox", "A fox", 6, "red"],
    )
    assert problems_of(loaded) == [
        ("row 2", None, NOT_CALCULATED.format("'duration'")),
        ("row 3", None, NOT_CALCULATED.format("'id'")),
    ]
    assert [prompt.id for prompt in loaded.sets[0].prompts] == ["fox"]


@pytest.mark.parametrize("value", [dt.date(2026, 5, 1), dt.time(5, 30), dt.timedelta(hours=40)])
def test_a_date_is_not_a_prompt(tmp_path, value):
    """A text that Excel took for a date or a time is named, and not paid for."""
    [(place, field, message)] = problems_of(load_rows(tmp_path, ["cat", value, None, None]))
    assert (place, field) == ("row 2", "prompt")
    assert "a date or a time of Excel; format the cell as text" in message


def test_a_date_without_a_time_is_written_as_such(tmp_path):
    """A date makes the same id and tag as in the CSV file of that workbook."""
    day = dt.date(2026, 5, 1)
    prompt = only_prompt(load_rows(tmp_path, [day, "A cat", 5, day]))
    assert (prompt.id, prompt.tags) == ("2026-05-01", {"scene": "2026-05-01"})


def test_characters_that_excel_escapes_are_read(tmp_path):
    """Excel writes the carriage return of a text as _x000D_; with it the prompt would be another one."""
    prompt = only_prompt(load_rows(tmp_path, ["cat", "A cat_x000D_\nruns_x005F_x000D_", 5, None]))
    assert prompt.request.prompt == "A cat\nruns_x000D_"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty (0 bytes)"),
        (b"prompt\nA cat\n", "is text, not a workbook; rename it to .csv"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "is protected with a password, or has the old .xls format; save it as .xlsx without a password",
        ),
    ],
)
def test_a_file_that_is_only_named_like_a_workbook_says_what_it_is(tmp_path, content, message):
    """The error names the kind of the file and what to do."""
    assert problems_of(load(tmp_path, "a.xlsx", content)) == [(None, None, message)]


def test_a_formula_that_failed_is_not_an_empty_cell(tmp_path):
    """A length that was not looked up is not 5 s; the tag of such a row is what the sheet shows."""
    rows = [["cat", "A cat", "=NA()", "x"], ["dog", "A dog", 6, "=NA()"]]
    loaded = load_rows(tmp_path, *rows, results={"C2": "#N/A", "D3": "#N/A"})
    message = "has a formula with an error in column 'duration'; correct it"
    assert problems_of(loaded) == [("row 2", None, message)]
    assert only_prompt(load_rows(tmp_path, rows[1], results={"D2": "#N/A"})).tags == {"scene": "#N/A"}
