"""Prompt files as spreadsheets, pandas and people write them: clear ones are read, others named."""

from __future__ import annotations

import io
import json

import openpyxl
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from prompts_support import load, only_prompt, problems_of

from seedance_dagster.prompts import load_prompt_sets

CAT, DOG = "A cat in the rain", "A dog"


def prompts_of(loaded) -> list[tuple[str, str, int, dict[str, str]]]:
    assert [str(problem) for problem in loaded.errors] == []
    [prompt_set] = loaded.sets
    return [
        (prompt.id, prompt.request.prompt, prompt.request.duration, prompt.tags)
        for prompt in prompt_set.prompts
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("index.csv", f",id,prompt,duration,wave\n0,a,{CAT},6.0,x\n1,b,{DOG},,\n"),
        ("unnamed.csv", f"Unnamed: 0,id,prompt,duration,wave\n0,a,{CAT},6.0,x\n1,b,{DOG},,\n"),
        ("excel.csv", f"id,prompt,duration,wave,,\na,{CAT},6,x,,\nb,{DOG},,,,\n,,,,,\n"),
        ("german.csv", f"id;prompt;duration;wave\r\na;{CAT};6;x\r\nb;{DOG};;\r\n"),
        ("piped.csv", f"id|prompt|duration|wave\na|{CAT}|6|x\nb|{DOG}||\n"),
        ("blanks.csv", f'id, prompt, duration, wave\na, "{CAT}", 6, x\nb, "{DOG}", ,\n'),
        ("quoted.csv", f'"id";"prompt";"duration";"wave"\n"a";"{CAT}";"6";"x"\n"b";"{DOG}";;\n'),
        ("separator.csv", f"sep=;\r\nid;prompt;duration;wave\r\na;{CAT};6;x\r\nb;{DOG};;\r\n"),
        ("below.csv", f"\n,,,\n id,prompt,duration,wave\na,{CAT},6,x\nb,{DOG},,\n"),
        ("tabs.tsv", f"id\tprompt\tduration\twave\na\t{CAT}\t6\tx\nb\t{DOG}\t\t\n"),
        ("tabs.csv", f"id\tprompt\tduration\twave\na\t{CAT}\t6\tx\nb\t{DOG}\t\t\n"),
        (
            "lines.ndjson",
            f"""{{"id": "a", "prompt": "{CAT}", "duration": 6, "wave": "x"}}
            {{"id": "b", "prompt": "{DOG}", "duration": NaN, "wave": NaN}}""",
        ),
        (
            "list.json",
            f"""[{{"id": "a", "prompt": "{CAT}", "duration": 6.0, "wave": "x"}},
            {{"id": "b", "prompt": "{DOG}"}}]""",
        ),
    ],
)
def test_tables_are_read_as_they_are_written(tmp_path, name, text):
    """The index of pandas, empty columns, other delimiters, blanks and NaN change nothing (p4, p5, p8)."""
    expected = [("a", CAT, 6, {"wave": "x"}), ("b", DOG, 5, {})]
    assert prompts_of(load(tmp_path, name, text)) == expected


def test_a_text_with_a_comma_behind_a_blank(tmp_path):
    """Quotes count although a blank stands before them (p8)."""
    prompt = only_prompt(load(tmp_path, "a.csv", 'id, prompt\nfox, "A fox, running"\n'))
    assert (prompt.id, prompt.request.prompt) == ("fox", "A fox, running")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,prompt,\na,x,\nb,y,?\n",
            "has no name for column 3, which is filled in line 3; name it, or e",
        ),
        (",prompt\na,x\nb,y\n", "has no name for column 1, which is filled in line 2; name it, or empty it"),
        ("id;text\na;x\n", "needs a column named prompt; its columns are 'id', 'text'; rename it"),
        ("PROMPT;ID\nx;a\n", "needs a column named prompt; its columns are 'PROMPT', 'ID'; rename it"),
    ],
)
def test_what_is_not_clear_in_a_table_is_named(tmp_path, text, message):
    """A column that holds something and has no name is not dropped (p8)."""
    [(_, _, problem)] = problems_of(load(tmp_path, "a.csv", text))
    assert problem.startswith(message)


def test_a_text_file_has_a_prompt_on_each_line(tmp_path):
    """A text file has a prompt on each line, without special characters; blank lines are skipped (p4)."""
    [prompt_set] = load(tmp_path, "spots.txt", f'\ufeff{CAT}\r\n\n  \n# {DOG}, "running"\n').sets
    assert [prompt.request.prompt for prompt in prompt_set.prompts] == [CAT, f'# {DOG}, "running"']


def test_a_workbook_below_empty_rows_and_with_the_index_of_pandas(tmp_path):
    """Rows without a value above the header, and numbers in a first column without a name, change nothing."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    for cells in ([], [None, "id", "prompt"], [0, "a", CAT], [1, "b", DOG]):
        book.active.append(cells)
    book.save(file)
    assert prompts_of(load(tmp_path, "a.xlsx", file.getvalue())) == [("a", CAT, 5, {}), ("b", DOG, 5, {})]


@pytest.mark.parametrize(
    "name", ["~$spots.xlsx", "README.txt", "license.txt", "Notes.txt", "requirements.txt", ".x.txt"]
)
def test_texts_beside_prompts_are_no_prompts(tmp_path, name):
    """Texts that people keep beside their prompts are not prompts."""
    (tmp_path / "a.yaml").write_text("{name: a, prompts: [{prompt: x}]}")
    (tmp_path / name).write_text("To do\n")
    loaded = load_prompt_sets(tmp_path)
    assert ([prompt_set.name for prompt_set in loaded.sets], loaded.problems) == (["a"], ())


def test_a_json_list_of_texts(tmp_path):
    """A list of texts is a list of prompts (p5)."""
    assert [text for _, text, _, _ in prompts_of(load(tmp_path, "a.json", json.dumps([CAT, DOG])))] == [
        CAT,
        DOG,
    ]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_column_of_prompts_with_another_name(tmp_path, name):
    """The message says how to name the column that is meant (p5)."""
    entry = {"prompt_en": CAT, "dimension": "x"}
    text = json.dumps([entry] if name == "a.json" else entry)
    [(_, _, message)] = problems_of(load(tmp_path, name, text))
    assert message == (
        "needs a column named prompt; its columns are 'prompt_en', 'dimension'; rename it, or name the table "
        "in a YAML set with columns: {prompt: 'prompt_en'}"
    )


REMEDY = 'save it as UTF-8 (in Excel: "CSV UTF-8")'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prompt\nx\n".encode("utf-16"), f'is UTF-16 text (Excel\'s "Unicode text"), not UTF-8; {REMEDY}'),
        ("prompt\nx\n".encode("utf-32"), f'is UTF-32 text (Excel\'s "Unicode text"), not UTF-8; {REMEDY}'),
        (
            "prompt\nx\n一只猫在花园里散步\n".encode("gbk"),
            f"is not UTF-8 text: line 3 looks like GBK or another encoding of Chinese; {REMEDY}",
        ),
        (
            "prompt\nun été à la plage\n".encode("latin-1"),
            f"is not UTF-8 text: line 2 looks like Windows-1252 (Latin-1); {REMEDY}",
        ),
        (
            "prompt\nA “fox” runs\n".encode("cp1252"),
            f"is not UTF-8 text: line 2 looks like Windows-1252 (Latin-1); {REMEDY}",
        ),
        (
            "prompt\né\n".encode("utf-16-le"),
            f"is not UTF-8 text: it looks like UTF-16 without its mark; {REMEDY}",
        ),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "txt", "yaml", "jsonl"])
def test_other_encodings_are_named_with_the_remedy(tmp_path, suffix, content, message):
    """The line, what it looks like, and how to save the file (p7)."""
    assert problems_of(load(tmp_path, f"a.{suffix}", content)) == [(None, None, message)]


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def feather(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pf.write_feather(table, out)
    return out.getvalue()


def arrow_stream(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


PICTURE = b"\x89PNG" * 100_000
BINARY = [
    pa.array([PICTURE, PICTURE]),
    pa.array([PICTURE, PICTURE], pa.large_binary()),
    pa.array([{"bytes": PICTURE, "path": "a.png"}, None]),
    pa.array([[PICTURE], []]),
]


@pytest.mark.parametrize("column", BINARY, ids=lambda column: str(column.type))
@pytest.mark.parametrize("write", [parquet, feather])
def test_columns_of_bytes_are_left_out_by_name(tmp_path, write, column):
    """A picture of 400 kB does not end in the ledger and every manifest (p2)."""
    table = pa.table({"id": ["a", "b"], "prompt": [CAT, DOG], "picture": column, "wave": ["x", None]})
    loaded = load(tmp_path, f"a.{write.__name__}", write(table))
    assert prompts_of(loaded) == [("a", CAT, 5, {"wave": "x"}), ("b", DOG, 5, {})]
    [warning] = loaded.problems
    assert str(warning).endswith("which cannot be a tag; it is left out")
    assert (warning.severity, warning.field) == ("warning", "column 'picture'")


def test_a_long_text_is_no_tag(tmp_path):
    """A picture written as text is refused by the name of its column (p2)."""
    text = json.dumps({"prompt": CAT, "thumbnail": "iVBOR" * 80_000})
    [(row, field, message)] = problems_of(load(tmp_path, "a.jsonl", text))
    assert (row, field, message) == ("line 1", "tags.thumbnail", "has 400000 characters; allowed are 10000")


@pytest.mark.parametrize("write", [feather, arrow_stream])
def test_arrow_files_are_read(tmp_path, write):
    """Files and streams, compressed or not, have rows with fields and tags."""
    table = pa.table({"id": [7, 8], "prompt": [CAT, DOG], "duration": [6.0, None], "wave": ["x", None]})
    expected = [("7", CAT, 6, {"wave": "x"}), ("8", DOG, 5, {})]
    assert prompts_of(load(tmp_path, "a.arrow", write(table))) == expected
    [(_, _, message)] = problems_of(load(tmp_path, "b.feather", b"ARROW1 nonsense"))
    assert message.startswith("is not a valid Arrow file: ")


def workbook(*rows) -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(out)
    return out.getvalue()


def test_workbooks_are_read(tmp_path):
    """The first sheet has a header and a prompt in each row; numbers and truth values are read as such."""
    content = workbook(
        ["id", " prompt ", "duration", "audio", "image_urls", "wave", None],
        ["a", CAT, 6.0, True, None, "x", None],
        [None, None, None, None, None, None, None],
        [8, DOG, "7", "FALSE", None, 2, None],
    )
    loaded = load(tmp_path, "a.xlsx", content)
    assert prompts_of(loaded) == [("a", CAT, 6, {"wave": "x"}), ("8", DOG, 7, {"wave": "2"})]
    assert [prompt.request.audio for prompt in loaded.sets[0].prompts] == [True, False]


@pytest.mark.parametrize(
    ("content", "row", "message"),
    [
        (b"PK nonsense", None, "is not a valid .xlsx file: File is not a zip file"),
        (workbook(["text"], ["x"]), None, "needs a column named prompt; its columns are 'text'"),
        (workbook(["prompt"], ["x"], ["y", "z"]), "row 3", "has 'z' in column 2, which has no name"),
        (workbook(["prompt", "prompt"], ["x", "y"]), None, "has two columns named 'prompt'; rename one"),
        (workbook(["prompt", "Duration"], ["x", 6]), None, "resembles the field duration but is not one"),
    ],
)
def test_problems_of_a_workbook(tmp_path, content, row, message):
    """Rows and files that are not prompts are named."""
    [(place, _, problem)] = problems_of(load(tmp_path, "a.xlsx", content))
    assert (place, problem[: len(message)]) == (row, message)


@pytest.mark.parametrize("suffix", ["xls", "ods", "csv.gz", "numbers"])
def test_files_that_cannot_be_read_are_named(tmp_path, suffix):
    """A table in a format that is not read is not passed over in silence (p4)."""
    (tmp_path / f"spots.{suffix}").write_bytes(b"?")
    (tmp_path / "a.yaml").write_text("{name: a, prompts: [{prompt: x}]}")
    loaded = load_prompt_sets(tmp_path)
    assert [prompt_set.name for prompt_set in loaded.sets] == ["a"]
    [warning] = loaded.problems
    assert str(warning).startswith(
        f"{tmp_path}/spots.{suffix} cannot be read, so it is passed over; save it as"
    )
