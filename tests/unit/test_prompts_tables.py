"""Prompt files with one prompt per row: JSONL, CSV and Parquet."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prompts_support import MP4, PNG, load, only_prompt, problems_of

VBENCH = [
    {"prompt": "In a still frame, a stop sign", "dimension": ["temporal_flickering"]},
    {
        "prompt": "a bicycle gliding through a snowy field",
        "dimension": ["subject_consistency", "motion_smoothness"],
    },
    {
        "prompt": "a bird",
        "dimension": ["object_class"],
        "auxiliary_info": {"object_class": {"object": "bird"}},
    },
    {"prompt": "a bicycle gliding through a snowy field", "dimension": ["dynamic_degree"]},
]


def test_a_real_set_of_prompts(tmp_path):
    """Rows without ids and with further columns load unchanged; a repeated text has an id of its own."""
    text = "\n".join(map(json.dumps, VBENCH))
    loaded = load(tmp_path, "vbench_prompts.jsonl", text)
    [prompt_set] = loaded.sets
    assert (prompt_set.name, loaded.errors) == ("vbench_prompts", ())
    assert [prompt.id for prompt in prompt_set.prompts] == [
        "in-a-still-frame-a-stop-sign-8d521e45",
        "a-bicycle-gliding-through-a-snowy-field-0296bdfb",
        "a-bird-9e5b3d53",
        "a-bicycle-gliding-through-a-snowy-field-0296bdfb-2",
    ]
    assert [prompt.tags for prompt in prompt_set.prompts] == [
        {"dimension": "temporal_flickering"},
        {"dimension": "subject_consistency,motion_smoothness"},
        {"dimension": "object_class", "auxiliary_info": '{"object_class": {"object": "bird"}}'},
        {"dimension": "dynamic_degree"},
    ]
    prints = [partition.fingerprint for partition in prompt_set.partitions.values()]
    assert prints[1] == prints[3]
    assert len(set(prints)) == 3
    assert [problem.prompt for problem in loaded.problems] == [f"line 4 ({prompt_set.prompts[3].id})"]


def test_jsonl_lines(tmp_path):
    """Empty lines are counted and skipped, a text may contain any line end, nulls count as not set."""
    text = '\n  \r\n{"prompt": "one\u2028two", "id": 12, "mood": null, "tags": {"a": 1}, "wave": 3}\r\n\n'
    prompt = only_prompt(load(tmp_path, "2 Späte Spots.jsonl", text))
    assert (prompt.id, prompt.request.prompt) == ("12", "one\ntwo")
    assert prompt.tags == {"a": "1", "wave": "3"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Launch Spots.jsonl", "launch_spots"), ("2024-spots.jsonl", "set_2024_spots"), ("été.jsonl", "ete")],
)
def test_a_table_is_named_after_its_file(tmp_path, name, expected):
    """A set takes its file's name as far as that is allowed."""
    assert load(tmp_path, name, '{"prompt": "x"}').sets[0].name == expected


def test_a_file_name_without_usable_letters_is_reported(tmp_path):
    """A name without a usable letter is a problem that says what to do (p9)."""
    [(_, _, message)] = problems_of(load(tmp_path, "提示词.csv", "prompt\nx\n"))
    assert message == (
        "has no usable character in its name: rename the file, such as to spots.csv, or name it in a YAML "
        "set: name: spots, source: 提示词.csv"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (None, None, "contains no prompts")),
        (
            '\n\n{"prompt": ',
            ("line 3", None, "is not valid JSON: Expecting value (column 12)"),
        ),
        ("[1]", ("line 1", None, 'must be an object, such as {"prompt": "..."}')),
        ('{"a": 1, "a": 2}', ("line 1", None, "is not valid JSON: 'a' occurs twice in one object")),
        ('{"x": ' + "[" * 100_000, ("line 1", None, "is nested too deeply")),
        ('{"prompt": "x", "a": ' + "[" * 600 + "]" * 600 + "}", ("line 1", None, "is nested too deeply")),
        ('{"dimension": "x"}', (None, None, "needs a column named prompt; its columns are 'dimension'")),
        (
            '{"prompt": "x", "duration": "5"}',
            ("line 1", "duration", "is the text '5', not a number; allowed are whole seconds from 4 to"),
        ),
        (
            '{"prompt": "x", "id": "a"}\n{"prompt": "y", "id": "a"}',
            ("line 2 (a)", "id", "is 'a', which another prompt of this set has"),
        ),
        (
            '{"prompt": "x", "mood": "\\ud800"}',
            ("line 1", "tags.mood", "contains characters that cannot be stored"),
        ),
    ],
)
def test_problems_of_a_jsonl_file(tmp_path, text, expected):
    """A problem is reported with its line."""
    loaded = load(tmp_path, "a.jsonl", text)
    assert loaded.sets == ()
    assert any(
        (prompt, field) == expected[:2] and message.startswith(expected[2])
        for prompt, field, message in problems_of(loaded)
    )


def test_csv_cells_are_converted(tmp_path):
    """Numbers, booleans, lists and tags are parsed; empty cells count as not set; a BOM is ignored."""
    text = (
        "\ufeff prompt ,id,duration,takes,audio,mode,image_urls,video_urls,tags,wave\r\n"
        f'"A cat, ""quoted""\nand a dog",cat, 6 ,2,TRUE,omni_reference,{PNG} | {PNG},'
        f'"[""{MP4}""]","{{""a"": 1}}",3\r\n'
        ",,,,,,,,,\r\n"
        "A dog\r\n"
    )
    [prompt_set] = load(tmp_path, "a.csv", text).sets
    cat, dog = prompt_set.prompts
    assert (cat.id, cat.takes, cat.tags) == ("cat", 2, {"a": "1", "wave": "3"})
    assert cat.request.prompt == 'A cat, "quoted"\nand a dog'
    assert (cat.request.duration, cat.request.audio) == (6, True)
    assert (cat.request.image_urls, cat.request.video_urls) == ((PNG, PNG), (MP4,))
    assert (dog.request.prompt, dog.request.duration, dog.tags) == ("A dog", 5, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (None, None, "needs a column named prompt; its columns are none")),
        ("text\nA cat\n", (None, None, "needs a column named prompt; its columns are 'text'")),
        ("prompt,id,id\n", (None, None, "has two columns named 'id'; rename one of them")),
        ("prompt,\nx,y\n", (None, None, "has no name for column 2, which is filled in line 2; name it")),
        ("prompt\n", (None, None, "contains no prompts")),
        (
            "prompt\nA cat, a dog\n",
            ("line 2", None, "has 2 cells for 1 column; put texts with commas in quotes"),
        ),
        ('prompt\n"A cat\n', (None, None, "is not valid CSV: unexpected end of data (line 2)")),
        ('prompt\n"A" cat\n', (None, None, "is not valid CSV: ',' expected after '\"' (line 2)")),
        (
            "prompt\n" + "x" * 200_000,
            (None, None, "is not valid CSV: field larger than field limit (131072) (line 2)"),
        ),
        ("prompt\nA\0cat\n", ("line 2", "prompt", "contains characters that cannot be sent")),
        (
            "prompt,duration\nx,5.5\n",
            ("line 2", "duration", "is '5.5'; allowed are whole seconds from 4 to 15"),
        ),
        ("prompt,duration\nx,\uff19\n", ("line 2", "duration", "is '\uff19'; allowed are whole seconds")),
        (f"prompt,duration\nx,{'9' * 5000}\n", ("line 2", "duration", "is '999")),
        ("prompt,audio\nx,yes\n", ("line 2", "audio", "is 'yes'; allowed are true and false")),
        ("prompt,tags\nx,spring\n", ("line 2", "tags", "must be a mapping of names to plain values")),
        (
            f"prompt,tags\nx,{'[' * 100_000}\n",
            ("line 2", "tags", "must be a mapping of names to plain values"),
        ),
        ("prompt,image_urls\nx,[oops\n", ("line 2", "image_urls", "is a text; it must be a list of URLs")),
        ("prompt,image_urls\nx,a.png b.png\n", ("line 2", "image_urls", "number 2 ('b.png') does not exist")),
        ("prompt,id\nx,a b\n", ("line 2", "id", "is 'a b'; allowed")),
        ('prompt,mode\n"two\nlines",x\n', ("line 3", "mode", "is 'x'; allowed are text_to_video")),
    ],
)
def test_problems_of_a_csv_file(tmp_path, text, expected):
    """A problem is reported with the line on which its row ends."""
    loaded = load(tmp_path, "a.csv", text)
    assert loaded.sets == ()
    assert any(
        (prompt, field) == expected[:2] and message.startswith(expected[2])
        for prompt, field, message in problems_of(loaded)
    ), problems_of(loaded)


def parquet(**columns) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_parquet_columns_are_fields_and_tags(tmp_path):
    """Typed columns are used as they are, nulls count as not set, structs and maps may hold tags."""
    content = parquet(
        prompt=["A cat", "A dog"],
        id=pa.array([7, None], pa.int64()),
        duration=pa.array([6.0, None]),
        takes=pa.array([1, 2], pa.int32()),
        image_urls=pa.array([[PNG], None]),
        mode=["omni_reference", None],
        tags=pa.array([{"a": "x", "b": None}, None]),
        when=pa.array([datetime(2026, 4, 5, tzinfo=UTC), None]),
        score=[0.5, None],
        words=[["x", "y"], None],
    )
    [prompt_set] = load(tmp_path, "a.parquet", content).sets
    cat, dog = prompt_set.prompts
    assert (cat.id, cat.request.duration, cat.request.image_urls) == ("7", 6, (PNG,))
    assert cat.tags == {"a": "x", "when": "2026-04-05 00:00:00+00:00", "score": "0.5", "words": "x,y"}
    assert (dog.request.duration, dog.request.mode, dog.tags) == (5, "text_to_video", {})
    tags = pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))
    assert only_prompt(load(tmp_path, "b.parquet", parquet(prompt=["x"], tags=tags))).tags == {"a": "1"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not valid Parquet: Parquet file size is 0 bytes"),
        (b"PAR1 nonsense PAR1", "is not valid Parquet: "),
        (parquet(text=["x"]), "needs a column named prompt; its columns are 'text'"),
        (parquet(prompt=pa.array([], pa.string())), "contains no prompts"),
        (parquet(prompt=[1]), "is 1, not a text; put it in quotes: "),
        (parquet(prompt=["x"], duration=[5.5]), "is 5.5; allowed are whole seconds from 4 to 15"),
    ],
)
def test_problems_of_a_parquet_file(tmp_path, content, message):
    """Bytes that are not Parquet, and columns that are not prompts, are reported."""
    [(_, _, text)] = problems_of(load(tmp_path, "a.parquet", content))
    assert text.startswith(message)


def test_duplicate_parquet_columns_are_reported(tmp_path):
    """No column is lost silently."""
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], ["prompt", "prompt"]), out)
    [(_, _, message)] = problems_of(load(tmp_path, "a.parquet", out.getvalue()))
    assert message == "has two columns with the same name, or one without a name"


def test_parquet_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    """Without pyarrow the problem names the command that installs it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    [(_, _, message)] = problems_of(load(tmp_path, "a.parquet", b""))
    assert message == "needs pyarrow: pip install 'seedance-dagster[parquet]'"
