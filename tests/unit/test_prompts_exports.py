"""Prompt files as databases, programs and chats export them: fields in other types, marks around lines."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prompts_support import load, only_prompt, problems_of


def parquet(**columns) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_decimals_of_a_database_are_whole_numbers(tmp_path):
    """A length of 5.00 is five seconds; a tag keeps its digits."""
    content = parquet(prompt=["A cat"], id=[Decimal(7)], duration=[Decimal("6.00")], weight=[Decimal("1.50")])
    prompt = only_prompt(load(tmp_path, "a.parquet", content))
    assert (prompt.id, prompt.request.duration, prompt.tags) == ("7", 6, {"weight": "1.50"})
    [(_, field, message)] = problems_of(
        load(tmp_path, "b.parquet", parquet(prompt=["A"], duration=[Decimal("5.5")]))
    )
    assert (field, message) == ("duration", "is '5.5'; allowed are whole seconds from 4 to 15")


@pytest.mark.parametrize("field", ["image_urls", "id"])
def test_bytes_in_the_column_of_a_field_are_an_error(tmp_path, field):
    """Pictures in image_urls are not left out: a video of the text alone would be paid for."""
    loaded = load(tmp_path, "a.parquet", parquet(**{"prompt": ["A cat"], field: [b"..."]}))
    message = "holds bytes (binary), which the field does not take; write texts"
    assert problems_of(loaded) == [(None, f"column '{field}'", message)]
    assert loaded.sets == ()


def test_every_level_of_an_index_is_left_out(tmp_path):
    """Pandas writes an index of two levels as two columns; neither is a tag."""
    content = parquet(prompt=["A cat"], __index_level_0__=["x"], __index_level_1__=[1])
    assert only_prompt(load(tmp_path, "a.parquet", content)).tags == {}


@pytest.mark.parametrize(
    "lines",
    [
        "**Shot 1:** A cat\n**Shot 2:** A dog\n",
        "Scene 1: A cat\nScene 2: A dog\n",
        "1. A cat\n2. A dog\n",
        "1) A cat\n2) A dog\n",
        "- A cat\n* A dog\n",
        '"A cat"\n"A dog"\n',
    ],
)
def test_marks_around_each_line_are_named(tmp_path, lines):
    """Lists of chats and notes have them; they are a part of the text that is sent."""
    message = "has a number, a bullet or quotes, which are sent too; remove them if not meant"
    loaded = load(tmp_path, "a.txt", lines)
    assert problems_of(loaded) == [(None, "each line", message)]
    assert len(loaded.sets[0].prompts) == 2


def test_a_mark_at_one_line_is_meant(tmp_path):
    """A prompt may begin with a number or a quote."""
    assert load(tmp_path, "a.txt", '"Stop," she says\nA dog\n').problems == ()


def test_a_prompt_that_an_editor_broke_is_named(tmp_path):
    """Each line is paid for, also the second half of a sentence."""
    text = "A fox runs through the deep snow of a forest while it\nrains on the hills.\n\nA dog\n"
    message = "is a prompt of its own, and line 2 seems to continue the one above; join them"
    assert problems_of(load(tmp_path, "a.txt", text)) == [(None, "each line", message)]
    for other in (text.replace("A fox", "a fox"), text.replace("\n\n", "\n"), text.replace("it\n", "it.\n")):
        assert load(tmp_path, "b.txt", other).problems == ()


def test_a_tag_has_a_name(tmp_path):
    """A key without a name is not kept as a tag."""
    [(_, field, message)] = problems_of(load(tmp_path, "a.json", '[{"prompt": "A cat", "": 10}]'))
    assert (field, message) == ("tags", "has '10' without a name; give it one")


def test_a_tag_has_one_value(tmp_path):
    """A tag in the column of tags and in one of its own is an error, unless both agree."""
    rows = [{"prompt": "A cat", "tags": {"wave": "x"}, "wave": wave} for wave in ("y", "x")]
    loaded = load(tmp_path, "a.json", json.dumps(rows))
    message = "is 'x', and 'y' in a column of its own; keep one of them"
    assert problems_of(loaded) == [("entry 1", "tags.wave", message)]


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ('[{"prompt": "A cat"}] // mine', "; name a file with one object on each line .jsonl"),
        ('{"name": "a", // mine\n"prompts": []}', "; JSON has no comments: remove it"),
        ("# mine\n[]", "; JSON has no comments: remove it"),
        ('[{"prompt": "A cat"},]', "; remove the last comma"),
        ('[{"prompt": "A cat",\n}]', "; remove the last comma"),
        ("{'name': 'a'}", "; put it in double quotes"),
        ("[{\u201cprompt\u201d: \u201cA cat\u201d}]", "; put it in double quotes"),
        ('```json\n[{"prompt": "A cat"}]\n```', "; remove the lines with ```"),
        ('[{"prompt": "A cat", "audio": True}]', "; write true, false or null"),
    ],
)
def test_json_as_other_languages_write_it_says_what_to_do(tmp_path, content, advice):
    """Comments, commas, quotes and words of JavaScript and Python are named."""
    [(_, _, message)] = problems_of(load(tmp_path, "a.json", content))
    assert message.endswith(advice)


def test_a_comma_behind_each_line_is_named(tmp_path):
    """Lines that were cut out of a list."""
    [(_, _, message)] = problems_of(load(tmp_path, "a.jsonl", '{"prompt": "A cat"},\n'))
    assert message == "is not valid JSON: Extra data (column 20); remove the comma at its end"
