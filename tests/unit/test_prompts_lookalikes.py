"""Columns that resemble a field and are none, and tags that are meant."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prompts_support import load, only_prompt, problems_of

from seedance_dagster.prompts.assembly import PROMPT_FIELDS
from seedance_dagster.prompts.lookalikes import field_meant


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Duration", "duration"),
        ("duration_sec", "duration"),
        ("duration (s)", "duration"),
        ("DurationInSeconds", "duration"),
        ("\u65f6\u957f", "duration"),
        ("Aspect Ratio", "aspect_ratio"),
        ("aspect-ratio ", "aspect_ratio"),
        ("ratio", "aspect_ratio"),
        ("image_url", "image_urls"),
        ("imageUrls", "image_urls"),
        ("Images", "image_urls"),
        ("reference_image", "image_urls"),
        ("video url", "video_urls"),
        ("Model", "task_type"),
        ("taskType", "task_type"),
        ("Takes", "takes"),
        ("\u200bmode", "mode"),
        ("ID", "id"),
        ("\u63d0\u793a\u8bcd", "prompt"),
    ],
)
def test_a_name_that_resembles_a_field_is_recognized(name, field):
    """Case, blanks, signs, plurals, units, invisible characters and other languages make no other name."""
    assert field_meant(name) == field


@pytest.mark.parametrize(
    "name", [*PROMPT_FIELDS, "dimension", "campaign", "text", "seed", "style", "in", "s"]
)
def test_fields_and_other_names_resemble_nothing(name):
    """A tag of another name stays one."""
    assert field_meant(name) is None


def csv_file(tmp_path, header: str, cells: str):
    return load(tmp_path, "shots.csv", f"{header}\n{cells}\n")


def test_each_column_that_resembles_a_field_is_one_error(tmp_path):
    """A 5 s text-to-video is never paid for instead of 10 s with an image (p1)."""
    text = "\n".join(
        ["id,prompt,Duration,image_url,mood", *(f"a{n},a cat {n},10,https://x/y.png,calm" for n in range(9))]
    )
    loaded = load(tmp_path, "shots.csv", text)
    assert problems_of(loaded) == [
        (None, f"column '{column}'", f"resembles the field {field} and is none; rename it to {field}, {tag}")
        for column, field, tag in (
            ("Duration", "duration", "or for a tag to tag:Duration"),
            ("image_url", "image_urls", "or for a tag to tag:image_url"),
        )
    ]
    assert loaded.sets == ()


@pytest.mark.parametrize("prefix", ["tag:", "tags.", "tags:"])
def test_a_tag_that_is_meant_is_named_so(tmp_path, prefix):
    """The prefix is no part of the tag's name."""
    prompt = only_prompt(csv_file(tmp_path, f"prompt,{prefix}Duration", "a cat,long"))
    assert prompt.tags == {"Duration": "long"}


def test_every_kind_of_table_is_looked_at(tmp_path):
    """JSONL and Parquet have columns as well."""
    lines = "\n".join(
        json.dumps({"prompt": f"a cat {n}", "imageUrls": ["https://x/y.png"]}) for n in range(5)
    )
    [problem] = load(tmp_path, "a.jsonl", lines).problems
    assert "column 'imageUrls' resembles the field image_urls" in str(problem)
    file = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a cat"], "Takes": [2]}), file)
    [problem] = load(tmp_path, "b.parquet", file.getvalue()).problems
    assert "column 'Takes' resembles the field takes" in str(problem)


def test_a_table_without_prompts_is_one_error_with_its_columns(tmp_path):
    """527 lines without a prompt are one problem (p6)."""
    lines = "\n".join(json.dumps({"video_prompt": f"a cat {n}", "n": n}) for n in range(527))
    message = (
        "needs a column named prompt; its columns are 'video_prompt', 'n'; rename it, or name the table "
        "in a YAML set with columns: {prompt: 'video_prompt'}"
    )
    assert problems_of(load(tmp_path, "a.jsonl", lines)) == [(None, None, message)]
