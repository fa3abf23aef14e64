"""Prompt sets in YAML and JSON: their outer form, defaults, and the pitfalls of YAML."""

from __future__ import annotations

import json
import time

import pytest
from prompts_support import PNG, load, only_prompt, problems_of

FIELDS = (
    "fields are name, budget_usd, defaults, prompts, source, columns, tags, on_bad_rows, matrix, template, "
    "max_prompts"
)


def test_a_set_as_the_documentation_shows_it(tmp_path):
    """Defaults, ids, takes and tags of a YAML file reach the set, and JSON gives the same set."""
    text = """
name: launch_spots
defaults: {task_type: seedance-2, mode: text_to_video, duration: 6, aspect_ratio: 9:16, tags: {team: film}}
prompts:
  - id: cat-garden
    prompt: The cat in @image1 walks through a garden
    mode: omni_reference
    image_urls: [https://x.example/a.png]
    takes: 2
    tags: {campaign: spring, team: web}
  - prompt: A dog
    duration: null
"""
    [yaml_set] = load(tmp_path, "a.yaml", text).sets
    cat, dog = yaml_set.prompts
    assert (yaml_set.name, cat.id, cat.takes, cat.tags) == (
        "launch_spots",
        "cat-garden",
        2,
        {"team": "web", "campaign": "spring"},
    )
    assert (cat.request.task_type, cat.request.duration, cat.request.aspect_ratio) == (
        "seedance-2",
        6,
        "9:16",
    )
    assert (dog.request.duration, dog.tags, dog.request.mode) == (6, {"team": "film"}, "text_to_video")
    document = {
        "name": "launch_spots",
        "defaults": {
            "task_type": "seedance-2",
            "duration": 6,
            "aspect_ratio": "9:16",
            "tags": {"team": "film"},
            "takes": None,
        },
        "prompts": [
            {
                "id": "cat-garden",
                "prompt": "The cat in @image1 walks through a garden",
                "mode": "omni_reference",
                "image_urls": [PNG],
                "takes": 2,
                "tags": {"campaign": "spring", "team": "web"},
            },
            {"prompt": "A dog"},
        ],
    }
    [json_set] = load(tmp_path, "b.json", json.dumps(document)).sets
    assert json_set.prompts == yaml_set.prompts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (None, None, "must be a mapping with name and prompts, not nothing")),
        ("[1]", (None, None, "must be a mapping with name and prompts, not a list")),
        ("just text", (None, None, "must be a mapping with name and prompts, not a text")),
        (
            "{name: a, prompts: [{prompt: x}], colour: red}",
            (None, "colour", f"is not a field of a prompt set; {FIELDS}"),
        ),
        (
            "{name: a, prompts: [{prompt: x}], 1: red}",
            (None, "1", f"is not a field of a prompt set; {FIELDS}"),
        ),
        ("{prompts: [{prompt: x}]}", (None, "name", "must be a text, not")),
        ("{name: 5, prompts: [{prompt: x}]}", (None, "name", "must be a text, not")),
        (
            "{name: A b, prompts: [{prompt: x}]}",
            (None, "name", "is 'A b'; allowed are 1 to 63 lower-case letters"),
        ),
        (
            f"{{name: {'a' * 64}, prompts: [{{prompt: x}}]}}",
            (None, "name", "; allowed are 1 to 63 lower-case letters"),
        ),
        ("{name: a}", (None, "prompts", "must be a list of prompts, not nothing")),
        (
            "{name: a, prompts: {prompt: x}}",
            (None, "prompts", "must be a list of prompts, not a mapping"),
        ),
        ("{name: a, prompts: []}", (None, None, "contains no prompts")),
        ("{name: a, prompts: [x]}", ("prompt 1", None, "must be a mapping, not a text")),
        (
            "{name: a, prompts: [{prompt: x}, null]}",
            ("prompt 2", None, "must be a mapping, not nothing"),
        ),
        (
            "{name: a, defaults: [1], prompts: [{prompt: x}]}",
            (None, "defaults", "must be a mapping, not a l"),
        ),
        (
            "{name: a, defaults: {prompt: y}, prompts: [{prompt: x}]}",
            (None, "defaults.prompt", "cannot be a default"),
        ),
        (
            "{name: a, defaults: {id: y}, prompts: [{prompt: x}]}",
            (None, "defaults.id", "cannot be a default; allowed are task_type"),
        ),
        (
            "{name: a, defaults: {x: 1}, prompts: [{prompt: x}]}",
            (None, "defaults.x", "cannot be a default; allowed are task_type"),
        ),
        (
            "{name: a, defaults: {duration: 3}, prompts: [{prompt: x}]}",
            ("prompt 1", "duration", "3; allowed are whole seconds"),
        ),
        (
            "{name: a, prompts: [{prompt: x, x y: 1}]}",
            ("prompt 1", "x y", "is not a field; fields are task_type, pro"),
        ),
        (
            "{name: a",
            (None, None, "is not valid YAML: did not find expected ',' or '}' (line 2, column 1)"),
        ),
        ("name: a\nname: b\n", (None, None, "is not valid YAML: 'name' occurs twice (line 2, column 1)")),
        ("name: a\n'name': b\n", (None, None, "is not valid YAML: 'name' occurs twice (line 2, column 1)")),
        (
            "---\nname: a\n---\nname: b\n",
            (None, None, "is not valid YAML: it holds a second document: a file is one set (line 3"),
        ),
        (
            "name: *nobody",
            (
                None,
                None,
                "is not valid YAML: the alias '*nobody' is not defined (line 1, column 7); put",
            ),
        ),
        (
            "name: \x07",
            (None, None, "is not valid YAML: control characters are not allowed"),
        ),
        (
            "? [a]\n: b",
            (None, None, "a list or a mapping cannot be a key (line 1, column 3)"),
        ),
        (
            "name: &n {<<: 5}",
            (None, None, "is not valid YAML: << takes a mapping or a list of mappings (line 1, column"),
        ),
        (
            "name: &n {<<: [5]}",
            (None, None, "is not valid YAML: << takes a mapping or a list of mappings (line 1, colum"),
        ),
        ("name: !!python/name:os.system x", (None, None, "python/name:os.system' is not known")),
        ("name: !!timestamp soon", (None, None, "timestamp' is not known")),
        ("name: !!bool maybe", (None, None, "is not known, or not one of 'maybe'")),
        ("name: !!int ''", (None, None, "is not known, or not one of ''")),
        (
            "name: !!int [5]",
            (None, None, "int' is not known (line 1, col"),
        ),
        (
            "name: !!map x",
            (None, None, "map' is not known, or not one of 'x' (line 1, column"),
        ),
        ("name: !!float ''", (None, None, "is not known, or not one of ''")),
        (f"name: {'9' * 5000}\nprompts: [{{prompt: x}}]", (None, "name", "is '9999")),
        ("[" * 700, (None, None, "is nested too deeply")),
    ],
)
def test_problems_of_a_yaml_file(tmp_path, text, expected):
    """The outer form is reported as precisely as the prompts, with line and column where possible."""
    loaded = load(tmp_path, "a.yaml", text)
    assert loaded.sets == ()
    assert any(
        (prompt, field) == expected[:2] and expected[2] in message
        for prompt, field, message in problems_of(loaded)
    ), problems_of(loaded)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"name": "a" "b"}',
            "is not valid JSON: Expecting ',' delimiter (line 1, column 14)",
        ),
        ("", "is not valid JSON: Expecting value (line 1, column 1)"),
        ('{"name": "a", "name": "b"}', "is not valid JSON: 'name' occurs twice in one object"),
        (
            '{"name": "a", "x": {"y": "}"},\n "b": [{"p": 1,\n"p": 2\n}]}',
            "is not valid JSON: 'p' occurs twice in one object, which ends in line 4",
        ),
        ("[\n" + "9" * 5000, "is not valid JSON: a number has more than 4300 digits (line 2)"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"name": "a", "prompts": ' + "[" * 900 + "]" * 900 + "}", "is nested too deeply"),
        ("NaN", "must be a mapping with name and prompts, not a number"),
    ],
)
def test_problems_of_a_json_file(tmp_path, text, message):
    """Invalid JSON is reported with line and column where possible."""
    [(_, _, problem)] = problems_of(load(tmp_path, "a.json", text))
    assert problem.startswith(message)


def test_prompts_are_checked_in_a_file_with_errors(tmp_path):
    """A file without a name still reports the problems of its prompts."""
    loaded = load(tmp_path, "a.yaml", "{colour: red, prompts: [{duration: 3}]}")
    assert [field for _, field, _ in problems_of(loaded)] == ["colour", "name", "prompt", "duration"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("16:9", "16:9"),
        ("no", "no"),
        ("on", "on"),
        ("007", "007"),
        ("1e3", "1e3"),
        ("2026-04-05", "2026-04-05"),
    ],
)
def test_yaml_texts_stay_texts(tmp_path, written, value):
    """Times, booleans, octal numbers and dates of YAML 1.1 are read as texts."""
    text = f"{{name: a, prompts: [{{prompt: {written}, tags: {{t: {written}}}}}]}}"
    prompt = only_prompt(load(tmp_path, "a.yaml", text))
    assert (prompt.request.prompt, prompt.tags) == (value, {"t": value})


def test_plain_values_of_tags(tmp_path):
    """A tag is kept as text; one without a value is omitted."""
    text = "{name: a, prompts: [{prompt: x, tags: {a: true, b: 5, c: 1.5, d: null, e: no, f: ''}}]}"
    assert only_prompt(load(tmp_path, "a.yml", text)).tags == {
        "a": "true",
        "b": "5",
        "c": "1.5",
        "e": "no",
        "f": "",
    }


def test_yaml_merges_and_anchors_work(tmp_path):
    """A prompt may take the fields of another by `<<` and replace some of them, over several levels."""
    text = """
name: a
prompts:
  - &base {id: one, prompt: A cat, duration: 5, tags: &tags {team: film}}
  - &more {<<: *base, id: two, duration: 6}
  - {<<: [*more, *base], id: three, tags: {<<: *tags, wave: 2}}
"""
    [prompt_set] = load(tmp_path, "a.yaml", text).sets
    assert [(prompt.id, prompt.request.duration, prompt.tags) for prompt in prompt_set.prompts] == [
        ("one", 5, {"team": "film"}),
        ("two", 6, {"team": "film"}),
        ("three", 6, {"team": "film", "wave": "2"}),
    ]


LEVELS = list(zip("abcdefghijk", "bcdefghijkl", strict=True))
LISTS = "a: &a [x]\n" + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in LEVELS)
MERGES = "a: &a {x: y}\n" + "".join(
    f"{new}: &{new} {{x{new}: y, <<: [{', '.join([f'*{old}'] * 9)}]}}\n" for old, new in LEVELS
)


@pytest.mark.parametrize(
    "text",
    [
        f"name: a\n{LISTS}prompts: [{{prompt: *l, id: *l, mode: *l, duration: *l, takes: *l, tags: *l}}]",
        f"{LISTS}name: *l\nprompts: [{{audio: *l, task_type: *l, image_urls: *l, aspect_ratio: *l}}]",
        f"name: a\n{LISTS}prompts: [{{prompt: x, tags: {{a: *l}}}}]",
        f"name: a\n{LISTS}prompts: *l\nbudget_usd: *l\ndefaults: *l",
        f"name: a\n{MERGES}prompts: [{{<<: *l, prompt: x}}]",
        "name: a\nprompts: &p [*p, &q {<<: *q, prompt: *q, tags: *q, id: *p}]\nbudget_usd: &b {day: *b}",
    ],
)
def test_aliases_cannot_explode(tmp_path, text):
    """A small file whose aliases expand to billions of values is reported as quickly as any other."""
    began = time.process_time()
    loaded = load(tmp_path, "a.yaml", text)
    assert loaded.sets == ()
    assert all(len(message) < 500 for _, _, message in problems_of(loaded))
    assert time.process_time() - began < 5
