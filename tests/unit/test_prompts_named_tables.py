"""Tables that a YAML set names: their columns, their place, and the files of public benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prompts_support import load, only_prompt, problems_of

from seedance_dagster.prompts import load_prompt_sets

SHOTS = "shot,caption_en,prompt,lens\ns1,A cat,not this,35mm\ns2,A dog,nor this,50mm\n"


def rows(folder: Path) -> dict[str, list[tuple[str, str, dict[str, str]]]]:
    loaded = load_prompt_sets(folder)
    assert [str(problem) for problem in loaded.errors] == []
    return {
        prompt_set.name: [(prompt.id, prompt.request.prompt, prompt.tags) for prompt in prompt_set.prompts]
        for prompt_set in loaded.sets
    }


def error_of(folder: Path) -> str:
    errors = load_prompt_sets(folder).errors
    [error] = [error for error in errors if not error.message.startswith("may belong to")]
    return str(error).removeprefix(f"{folder}/")


def test_columns_are_mapped_and_the_rest_are_tags(tmp_path):
    """Columns are mapped to fields and the others are tags, and the table is not a set of its own."""
    (tmp_path / "shots.csv").write_text(SHOTS)
    (tmp_path / "launch.yaml").write_text(
        "name: launch\nsource: shots.csv\ncolumns: {prompt: caption_en, id: shot}\ndefaults: {duration: 7}\n"
    )
    assert rows(tmp_path) == {
        "launch": [
            ("s1", "A cat", {"prompt": "not this", "lens": "35mm"}),
            ("s2", "A dog", {"prompt": "nor this", "lens": "50mm"}),
        ]
    }
    assert load_prompt_sets(tmp_path).sets[0].prompts[0].request.duration == 7


def test_only_listed_columns_become_tags(tmp_path):
    """Only listed columns become tags, whatever they resemble; the others are not read."""
    (tmp_path / "shots.csv").write_text("prompt,Duration,lens\nA cat,long,35mm\n")
    (tmp_path / "launch.yaml").write_text("{name: launch, source: shots.csv, tags: [Duration]}")
    [(_, _, tags)] = rows(tmp_path)["launch"]
    assert tags == {"Duration": "long"}
    (tmp_path / "launch.yaml").write_text("{name: launch, source: shots.csv, tags: []}")
    [(_, _, tags)] = rows(tmp_path)["launch"]
    assert tags == {}


@pytest.mark.parametrize("edited", ["launch.yaml", "shots.csv"])
def test_an_edit_of_either_file_is_seen(tmp_path, edited, monkeypatch):
    """A set is read again when it or its table changed (p3)."""
    monkeypatch.setattr("seedance_dagster.prompts.places._RECENT_NS", 0)
    (tmp_path / "shots.csv").write_text("prompt\nA cat\n")
    (tmp_path / "launch.yaml").write_text("{name: launch, source: shots.csv}")
    first = load_prompt_sets(tmp_path).sets[0]
    assert load_prompt_sets(tmp_path).sets[0] is first
    path = tmp_path / edited
    path.write_text(path.read_text().replace("A cat", "A dog").replace("launch", "relaunch"))
    assert load_prompt_sets(tmp_path).sets[0] != first


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{name: a, source: nowhere.csv}", "a.yaml names as source 'nowhere.csv', which does not exist"),
        (
            "{name: a, source: ../shots.csv}",
            "a.yaml names as source '../shots.csv', which leads out of the prompt file's folder: copy",
        ),
        (
            "{name: a, source: /etc/passwd}",
            "a.yaml names as source '/etc/passwd', which leads out of the prompt file's folder: copy",
        ),
        (
            "{name: a, source: a.yaml}",
            "a.yaml names as source 'a.yaml', which is not a table; file names end in .jsonl",
        ),
        (
            "{name: a, source: shots.csv, columns: {prompt: caption}}",
            "a.yaml names as source 'shots.csv', which needs a column named caption; its",
        ),
        (
            "{name: a, source: shots.csv, columns: {prompt: caption_en, id: number}}",
            "a.yaml names as source 'shots.csv', which has no column 'number', which columns.id names",
        ),
        (
            "{name: a, source: shots.csv, tags: [Lens]}",
            "a.yaml names as source 'shots.csv', which has no column 'Lens', which is listed in tags",
        ),
        (
            "{name: a, source: shots.csv, columns: {Prompt: caption_en}}",
            "a.yaml: columns.Prompt is not a field (did you mean prompt?); fields are task_type, prompt",
        ),
        (
            "{name: a, source: shots.csv, columns: {id: [x]}}",
            "a.yaml: columns.id is ['x']; it must be the",
        ),
        ("{name: a, source: shots.csv, tags: lens}", "a.yaml: tags must be a list of columns"),
        ("{name: a, source: shots.csv, prompts: []}", "a.yaml: source cannot be set together with prompts"),
        (
            "{name: a, source: 5}",
            "a.yaml: source must be the path of a table, relative to this file's folder",
        ),
        ("{name: a, prompts: [{prompt: x}], tags: [x]}", "a.yaml: tags applies to the columns of a table"),
        (
            "{name: a, prompts: [{prompt: x}], on_bad_rows: maybe}",
            "a.yaml: on_bad_rows is 'maybe'; al",
        ),
    ],
)
def test_what_a_set_says_wrong_of_its_table(tmp_path, document, message):
    """The set, the table and the column are named."""
    (tmp_path / "shots.csv").write_text(SHOTS)
    (tmp_path / "a.yaml").write_text(document)
    assert error_of(tmp_path).startswith(message)


def test_a_row_of_a_named_table_is_named_by_its_own_file(tmp_path):
    """An error says which row of which table, and the other rows are used."""
    (tmp_path / "shots.csv").write_text("prompt,duration\nA cat,3\nA dog,5\n")
    (tmp_path / "a.yaml").write_text("{name: a, source: shots.csv}")
    assert (
        error_of(tmp_path)
        == "a.yaml, shots.csv, line 2: duration is 3; allowed are whole seconds from 4 to 15"
    )
    assert [len(prompt_set.prompts) for prompt_set in load_prompt_sets(tmp_path).sets] == [1]


def test_the_table_of_a_broken_set_is_no_set_of_its_own(tmp_path):
    """While the YAML cannot be read, its prompts are not offered under another name."""
    (tmp_path / "shots.csv").write_text(SHOTS)
    (tmp_path / "launch.yaml").write_text("name: launch\nsource: shots.csv\ncolumns: {prompt: [\n")
    loaded = load_prompt_sets(tmp_path)
    assert (loaded.sets, loaded.names) == ((), ("launch",))


VBENCH = [
    {"prompt_en": "a bird", "dimension": ["object_class"], "auxiliary_info": {"object": "bird"}},
    {"prompt_en": "a toilet, frozen in time", "dimension": ["temporal_flickering"]},
]
BENCHMARKS = {
    "moviegen": ("MovieGenVideoBench.txt", 'A stop motion of a flower\nA cat, "quoted", runs: fast\n'),
    "vbench": ("VBench_full_info.json", json.dumps(VBENCH)),
    "vbench2": ("VBench2_full_info.json", json.dumps(VBENCH)),
    "t2v_compbench_consistent_attr": ("consistent_attr.txt", "A blue car drives past a white fence\n"),
    "evalcrafter": ("prompt700.txt", "goldfish in glass\ngoldfish swimming in the ocean\n"),
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_load_as_the_documentation_shows(tmp_path, name):
    """Each needs five lines at most, which are those of docs/prompts.md."""
    page = (Path(__file__).parents[2] / "docs/prompts.md").read_text("utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    [document] = [block for block in blocks if block.startswith(f"name: {name} ")]
    assert len(document.splitlines()) <= 5
    table, text = BENCHMARKS[name]
    (tmp_path / table).write_text(text)
    (tmp_path / "set.yaml").write_text(document)
    prompts = rows(tmp_path)[name]
    texts = [entry["prompt_en"] for entry in VBENCH] if text.startswith("[") else text.splitlines()
    assert [prompt for _, prompt, _ in prompts] == texts
    if text.startswith("["):
        assert prompts[0][2] == {"dimension": "object_class"}


def test_a_column_that_is_left_out_and_resembles_a_field_is_a_warning(tmp_path):
    """With a list of tags, a length that is not one of them would have no effect without a word."""
    (tmp_path / "shots.csv").write_text("prompt,Duration,mood,notes\nA cat,10,calm,x\n")
    loaded = load(tmp_path, "a.yaml", "{name: a, source: shots.csv, tags: [mood]}")
    message = (
        "resembles the field duration and is left out; write columns: {duration: 'Duration'} in the set, "
    )
    assert problems_of(loaded) == [(None, "column 'Duration'", f"{message}or list it in tags")]
    assert only_prompt(loaded).tags == {"mood": "calm"}
