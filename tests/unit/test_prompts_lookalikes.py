"""Columns that resemble a field but are not one, and intended tags."""

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
        ("image_1", "image_urls"),
        ("Image URL 2", "image_urls"),
        ("img_path", "image_urls"),
        ("first_frame", "image_urls"),
        ("endFrameUrl", "image_urls"),
        ("ref_image", "image_urls"),
        ("video_ref", "video_urls"),
        ("video_length", "duration"),
        ("duration_ms", "duration"),
        ("num_seconds", "duration"),
        ("duracion", "duration"),
        ("durration", "duration"),
        ("aspect_ration", "aspect_ratio"),
        ("aspect ratio (w:h)", "aspect_ratio"),
        ("Output Resolution", "resolution"),
        ("num_videos", "takes"),
        ("n_samples", "takes"),
        ("number of videos", "takes"),
        ("generate_audio", "audio"),
        ("no_watermark", "remove_watermark"),
        ("model_id", "task_type"),
        ("input.duration", "duration"),
        ("text prompt", "prompt"),
        ("Dauer (Sek.)", "duration"),
        ("Dauer in Sekunden", "duration"),
        ("时长\uff08秒\uff09", "duration"),
        ("视频时长/s", "duration"),
        ("Länge [s]", "duration"),
        ("Aspect Ratio (default 16:9)", "aspect_ratio"),
        ("Auflösung (p)", "resolution"),
        ("Model (Seedance)", "task_type"),
        ("Bild-URL", "image_urls"),
        ("首帧图片链接", "image_urls"),
        ("dur.", "duration"),
        ("Run time (s)", "duration"),
        ("Duur", "duration"),
        ("orientation", "aspect_ratio"),
        ("Rapport d'aspect", "aspect_ratio"),
        ("Resolução", "resolution"),
        ("takes per prompt", "takes"),
        ("No. of takes", "takes"),
        ("Qty", "takes"),
        ("image_url_list", "image_urls"),
        ("taks_type", "task_type"),
        ("image_ulrs", "image_urls"),
    ],
)
def test_a_name_that_resembles_a_field_is_recognized(name, field):
    """Case, blanks, signs, plurals, units, invisible characters and languages do not hide a field."""
    assert field_meant(name) == field


@pytest.mark.parametrize(
    "name",
    [
        *(
            *PROMPT_FIELDS,
            "dimension",
            "campaign",
            "text",
            "seed",
            "style",
            "in",
            "s",
            "n",
            "number",
            "reference",
        ),
        *(
            "video_id",
            "video_name",
            "image_caption",
            "prompt_en",
            "compression_ratio",
            "num_frames",
            "sample_no",
        ),
        *("prompt (Chinese)", "提示词\uff08英文\uff09", "Prompt [old]", "notes (s)", "scene (image 1)"),
        *(
            "source",
            "url",
            "file_name",
            "start_time",
            "take_no",
            "demo",
            "variant",
            "run",
            "time",
            "audio_caption",
            "lens",
            "has_audio",
            "file.name",
        ),
    ],
)
def test_fields_and_other_names_resemble_nothing(name):
    """Fields and unrelated names resemble nothing, so a tag stays a tag."""
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
        (
            None,
            f"column '{column}'",
            f"resembles the field {field} but is not one; rename it to {field}, {tag}",
        )
        for column, field, tag in (
            ("Duration", "duration", "or to tag:Duration for a tag"),
            ("image_url", "image_urls", "or to tag:image_url for a tag"),
        )
    ]
    assert loaded.sets == ()


@pytest.mark.parametrize("prefix", ["tag:", "tags.", "tags:"])
def test_a_tag_that_is_meant_is_named_so(tmp_path, prefix):
    """A prefix marks an intended tag, and is not part of its name."""
    prompt = only_prompt(csv_file(tmp_path, f"prompt,{prefix}Duration", "a cat,long"))
    assert prompt.tags == {"Duration": "long"}


def test_every_kind_of_table_is_looked_at(tmp_path):
    """Lookalikes are found in every kind of table, also in JSONL and Parquet."""
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


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("https://x/a.png?v=2", "image_urls"),
        (["s3://x/a.JPG", "https://x/b.webp"], "image_urls"),
        ("https://x/a.mp4", "video_urls"),
        ("9:16", "aspect_ratio"),
        ("720p", "resolution"),
        ("omni_reference", "mode"),
        ("seedance-2.5", "task_type"),
    ],
)
def test_values_that_are_meant_for_a_field_are_no_tags(tmp_path, value, field):
    """A column of such values alone is an error whatever its name, unless a column is the field."""
    entries = [{"prompt": f"a cat {n}", "gr\u00f6\u00dfe": value} for n in range(3)]
    [(_, column, message)] = problems_of(load(tmp_path, "a.jsonl", "\n".join(map(json.dumps, entries))))
    assert (column, message) == (
        "column 'gr\u00f6\u00dfe'",
        f"holds values of the field {field}; rename it to {field}, or to tag:gr\u00f6\u00dfe for a tag",
    )
    entries.append({"prompt": "a dog", "gr\u00f6\u00dfe": "another"})
    assert load(tmp_path, "b.jsonl", "\n".join(map(json.dumps, entries))).problems == ()


def test_a_field_inside_of_an_object_is_no_tag(tmp_path):
    """An object with settings, as files of other services have, would change no video."""
    lines = json.dumps({"prompt": "a cat", "params": {"seed": 1, "duration": 8}})
    [(_, column, message)] = problems_of(load(tmp_path, "a.jsonl", lines))
    assert (column, message) == (
        "column 'params'",
        "holds the field duration; make that a column of its own, or this one tag:params",
    )


@pytest.mark.parametrize(
    "cell",
    ['{"seed": 1, "duration": 8}', "{'duration': 8}", '[{"duration": 8}]', "[{'seed': 1, 'duration': 8}]"],
)
def test_a_field_inside_of_a_written_object_is_no_tag(tmp_path, cell):
    """In CSV files objects are texts, as JSON or Python writes them."""
    quoted = cell.replace('"', '""')
    [(_, column, message)] = problems_of(csv_file(tmp_path, "prompt,params", f'a cat,"{quoted}"'))
    assert (column, message[:24]) == ("column 'params'", "holds the field duration")
    assert csv_file(tmp_path, "prompt,params", '"a dog","{""mood"": ""duration""}"').problems == ()


def test_a_setting_of_other_services_is_said(tmp_path):
    """It is a tag, and a warning says that it changes no video."""
    loaded = csv_file(tmp_path, "prompt,seed,Negative Prompt,style", "a cat,7,blurry,noir")
    assert [(column, message[:37]) for _, column, message in problems_of(loaded)] == [
        ("column 'seed'", "is kept as a tag and changes no video"),
        ("column 'Negative Prompt'", "is kept as a tag and changes no video"),
    ]
    assert only_prompt(loaded).tags["seed"] == "7"


def test_objects_of_too_many_keys_are_refused(tmp_path):
    """Each key is compared with the fields, as each column of a CSV file is."""
    rows = [json.dumps({"prompt": f"a cat {number}", f"key{number}": 1}) for number in range(1001)]
    [(_, _, message)] = problems_of(load(tmp_path, "a.jsonl", "\n".join(rows)))
    assert message == "has 1001 columns; allowed are 1000"


def test_a_name_of_megabytes_resembles_nothing():
    """A name of megabytes resembles nothing, since comparing it would take minutes."""
    assert field_meant("k" * 5_000_000) is None
