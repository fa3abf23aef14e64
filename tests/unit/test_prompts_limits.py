"""Prompt files that nobody trusts: what leads out, what unpacks to gigabytes, what repeats itself."""

from __future__ import annotations

import io
import json
import os
import zipfile
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prompts_support import load, problems_of

from seedance_dagster.prompts import assembly, bounds, load_prompt_sets

SECRET = "GOAPI_API_KEY=sk-secret\nAWS_SECRET_ACCESS_KEY=hidden"


def test_a_link_that_leaves_the_folder_is_not_followed(tmp_path):
    """A file of the machine is not quoted as column names (x4)."""
    outside, folder = tmp_path / "environ", tmp_path / "sets"
    outside.write_text(SECRET)
    folder.mkdir()
    (folder / "e.csv").symlink_to(outside)
    (folder / "p.csv").symlink_to("/proc/self/environ")
    (folder / "a.yaml").write_text("{name: a, prompts: [{prompt: x}]}")
    (folder / "b.yaml").write_text("{name: b, source: e.csv}")
    loaded = load_prompt_sets(folder)
    messages = "\n".join(map(str, loaded.problems))
    assert [prompt_set.name for prompt_set in loaded.sets] == ["a"]
    assert messages.count("is a link that leaves the folder, so it is not followed: copy the file") == 2
    assert "names as source 'e.csv', which leads out of the prompt file's folder" in messages
    assert "secret" not in messages.lower().replace("aws_secret", "secret")


def test_a_link_inside_the_folder_is_followed(tmp_path):
    """Kubernetes mounts a ConfigMap as links to a hidden folder beside them (x4)."""
    (tmp_path / "..2026_11_26").mkdir()
    (tmp_path / "..2026_11_26" / "a.csv").write_text("prompt\nx\n")
    (tmp_path / "..data").symlink_to("..2026_11_26")
    (tmp_path / "a.csv").symlink_to("..data/a.csv")
    assert [prompt_set.name for prompt_set in load_prompt_sets(tmp_path).sets] == ["a"]
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    assert [prompt_set.name for prompt_set in load_prompt_sets(tmp_path / "elsewhere").sets] == ["a"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", ",".join(f"column{n}" for n in range(900)) + "\n"),
        ("a.csv", "x" * 100_000 + "\n"),
        ("a.json", json.dumps([{"k" * 50_000: 1}])),
        ("a.yaml", f"{{name: a, {'k' * 50_000}: 1}}"),
        ("a.yaml", f"{{name: a, prompts: [{{prompt: x, {'k' * 50_000}: 1}}]}}"),
        ("a.yaml", f"name: a\nprompts: *{'k' * 50_000}\n"),
        ("a.yaml", f"{{name: {'k' * 50_000}, prompts: [{{prompt: x}}]}}"),
        ("a.yaml", f"{{name: a, source: {'k' * 200}.csv, columns: {{prompt: {'c' * 50_000}}}}}"),
        ("a.jsonl", json.dumps({"prompt": "x", "mode": "m" * 50_000, "id": "i" * 50_000})),
    ],
)
def test_what_is_quoted_is_short(tmp_path, name, text):
    """A message quotes 80 characters of a value at most, and ten columns (x4)."""
    problems = load(tmp_path, name, text).problems
    assert problems
    for problem in problems:
        assert len(str(problem)) < 1_000
        assert "k" * 90 not in str(problem)


def parquet(table: pa.Table, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def same_text(length: int, rows: int) -> pa.Table:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * length]))
    return pa.table({"prompt": texts})


@pytest.mark.parametrize(
    ("make_table", "message"),
    [
        (partial(same_text, 1, 100_001), "contains more than 100000 prompts: split it into several files"),
        pytest.param(
            *(partial(same_text, 120 * 1024**2, 1), "unpacks to 120 MB; allowed are 100 MB"),
            marks=pytest.mark.further,
        ),
        (partial(same_text, 2 * 1024**2, 1_000), "unpacks to 2000 MB; allowed are 100 MB"),
        (
            partial(pa.table, {"prompt": ["x"], **{f"c{n}": [1] for n in range(1_000)}}),
            "has 1001 columns; allowed are",
        ),
    ],
    ids=["rows", "one text", "one text in many rows", "columns"],
)
def test_what_a_parquet_file_unpacks_to_is_known_first(tmp_path, make_table, message):
    """Its own description says how many rows and bytes it holds (x5)."""
    content = parquet(make_table(), compression="zstd")
    assert len(content) < 1024**2
    [(_, _, problem)] = problems_of(load(tmp_path, "a.parquet", content))
    assert problem.startswith(message)


@pytest.mark.further
def test_what_a_workbook_unpacks_to_is_known_first(tmp_path):
    """A workbook of a few kilobytes does not unpack to gigabytes (x5)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", b" " * 120 * 1024**2)
    [(_, _, message)] = problems_of(load(tmp_path, "a.xlsx", out.getvalue()))
    assert message == "unpacks to 120 MB; allowed are 100 MB"


def test_a_text_that_no_cell_can_hold_is_refused_before_it_is_read(tmp_path):
    """Excel has 32,767 characters in a cell, so a megabyte without an element is none of its own (x5)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", "<a>" + "x" * 3 * 1024**2)
    [(_, _, message)] = problems_of(load(tmp_path, "a.xlsx", out.getvalue()))
    assert message == "holds a text of more than 1 MB; a cell of Excel has at most 32767 characters"


def test_anchors_without_end_are_refused(tmp_path):
    """Each one costs memory, whether or not something refers to it (x5)."""
    anchors = "".join(f"- &a{number} x\n" for number in range(10_001))
    [(_, _, message)] = problems_of(load(tmp_path, "a.yaml", anchors))
    assert message == "has more than 10000 anchors (&name); write the values out"


def test_takes_count_as_prompts(tmp_path, monkeypatch):
    """The limit of a set counts its partitions (x6)."""
    monkeypatch.setattr(assembly, "MAX_PROMPTS", 1_000)
    lines = "\n".join(json.dumps({"prompt": f"cat {n}", "takes": 100}) for n in range(11))
    [(_, _, message)] = problems_of(load(tmp_path, "a.jsonl", lines))
    assert message == "contains 1100 videos, takes and finals included; allowed are 1000"


KEYS = ", ".join(f"k{n}: 1" for n in range(100))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", f"a: &a {{{KEYS}}}\nprompts:\n" + "- {<<: *a}\n" * 100, "contains more values than"),
        ("a.yaml", "name: a\nprompts: [" + "[a, a]," * 1_000 + "]", "contains more values than"),
        ("a.json", "[" + "[],[]," * 1_000 + "[]]", "contains more values than 50 prompts have"),
        ("a.jsonl", '{"prompt": "x", "a": [' + "1," * 2_000 + "1]}", "contains more values than"),
        ("a.jsonl", "{\n" * 100, "contains more than 50 prompts: split it into several files"),
        ("a.json", "[" + "{}, " * 100 + "{}]", "contains more than 50 prompts: split it into several files"),
        ("a.txt", "x\n" * 100, "contains more than 50 prompts: split it into several files"),
        ("a.csv", "prompt\n" + "x\n" * 100, "contains more than 50 prompts: split it into several files"),
        ("a.csv", "prompt,id\n" + ",\n" * 500, "has more than 300 lines: split it into several files"),
        ("a.csv", "prompt," + "," * 1_500, "has 1502 columns; allowed are 1000"),
        ("a.csv", "prompt\n" + "," * 3_000, "contains more values than 50 prompts have"),
        ("a.yaml", "name: a\nprompts:\n" + "- {prompt: x}\n" * 60, "contains more than 50 prompts"),
    ],
)
def test_files_that_are_much_and_hold_nothing(tmp_path, monkeypatch, name, text, message):
    """They are refused for their number of rows, lines, columns or values (x7)."""
    for limit, value in (("MAX_PROMPTS", 50), ("_MAX_VALUES", 2_000), ("_MAX_LINES", 300)):
        monkeypatch.setattr(bounds, limit, value)
    [(_, _, problem)] = problems_of(load(tmp_path, name, text))
    assert problem.startswith(message)


def test_a_megabyte_of_line_ends_is_no_prompt(tmp_path):
    """Blank lines are skipped all at once, and the number of the line is right (x7)."""
    text = "\n" * 100_000 + " \t\n" * 1_000 + '{"prompt": "x", "duration": 3}'
    [(row, field, _)] = problems_of(load(tmp_path, "a.jsonl", text))
    assert (row, field) == ("line 101001", "duration")


def test_problems_are_counted(tmp_path):
    """Equal problems are one line with the first rows, and many kinds are 20 lines and a count (x7)."""
    lines = "\n".join(f'{{"prompt": "x{n}", "duration": 3}}' for n in range(1_000))
    [(rows, field, _)] = problems_of(load(tmp_path, "a.jsonl", lines))
    assert (rows, field) == ("line 1, line 2, line 3 and 997 more", "duration")
    [(rows, _, message)] = problems_of(load(tmp_path, "b.jsonl", "{\n" * 1_000))
    assert rows == "line 1, line 2, line 3 and 997 more"
    assert message.startswith("is not valid JSON: Expecting property name")
    lines = "\n".join(f'{{"prompt": "x{n}", "duration": {100 + n}}}' for n in range(100))
    problems = problems_of(load(tmp_path, "c.jsonl", lines))
    assert len(problems) == 21
    assert problems[-1] == (None, None, "has 80 more problems, which are not listed")


def test_a_pipe_and_a_device_are_not_read(tmp_path):
    """Loading never waits for a pipe."""
    os.mkfifo(tmp_path / "a.csv")
    [(_, _, message)] = problems_of(load_prompt_sets(tmp_path))
    assert message == "is not a regular file"


def test_a_text_of_millions_of_mentions_is_refused_at_once(tmp_path):
    """Its length is the one problem: none of them is looked for."""
    [(_, field, message)] = problems_of(load(tmp_path, "a.txt", "@image1 " * 200_000))
    assert (field, message) == ("prompt", "has 1599999 characters; allowed are 4000")
