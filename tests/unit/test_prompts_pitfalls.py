"""Texts that YAML cuts or reads otherwise, mentions that bind nothing, and texts that stand twice."""

from __future__ import annotations

import pytest
from prompts_support import PNG, load, load_prompts, only_prompt, problems_of

from seedance_dagster.prompts.rules import near_mentions


def yaml_set(tmp_path, text: str, style: str = "block"):
    prompt = f"- {{id: a, prompt: {text}}}" if style == "flow" else f"- id: a\n  prompt: {text}"
    return load(tmp_path, "a.yaml", f"name: a\nprompts:\n{prompt}\n")


@pytest.mark.parametrize(
    "text",
    [
        "@image1 walks",
        "`A cat` walks",
        "%d cats walk",
        "[wide] A cat walks",
        "{wide} A cat walks",
        "*softly* A cat walks",
        "!A cat walks: quickly",
        "| A cat walks",
        "> A cat walks",
        "Scene 1: A cat walks",
        "Scene 1:\tA cat",
        "A cat walks:",
        "'Tis a cat's walk",
        '"A cat" walks',
        "- A cat walks",
        "? A cat walks",
        ", a cat",
    ],
)
def test_texts_that_are_no_yaml_say_what_to_put_in_quotes(tmp_path, text):
    """The message names the line, and the key whose value needs quotes."""
    [(_, _, message)] = problems_of(yaml_set(tmp_path, text))
    assert message.startswith("is not valid YAML: ")
    assert message.endswith("; put the text after 'prompt:' in line 4 in quotes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", 'is 5, not a text; put it in quotes: "5"'),
        ("true", 'is True, not a text; put it in quotes: "True"'),
        ("1.5", 'is 1.5, not a text; put it in quotes: "1.5"'),
        ("[a cat]", "is ['a cat'], not a text; put it in quotes, if it is a text that begins with [ or {"),
        (
            "{a cat}",
            "is {'a cat': None}, not a text; put it in quotes, if it is a text that begins with [ or {",
        ),
        ("null", "must be a text that is not empty"),
    ],
)
def test_values_that_are_no_texts_say_so(tmp_path, text, message):
    """The value that YAML read is named, with the quotes to put."""
    assert problems_of(yaml_set(tmp_path, text)) == [("prompt 1 (a)", "prompt", message)]


@pytest.mark.parametrize(
    "text", ["no", "on", "1e3", "2026-04-05", "007", "16:9", "12:30:45", "0x1F", "1_000"]
)
def test_texts_of_other_yaml_versions_stay_texts(tmp_path, text):
    """Texts that only other YAML versions convert stay as they are written."""
    [prompt_set] = yaml_set(tmp_path, text).sets
    assert prompt_set.prompts[0].request.prompt == text


@pytest.mark.parametrize("style", ["block", "flow"])
@pytest.mark.parametrize(
    ("text", "kept", "message"),
    [
        (
            "Take 1 #sunset over a lake",
            "Take 1",
            "ends before #, where YAML's comments begin; put the text in",
        ),
        ("&cat A cat walks", "A cat walks", "begins with &, so YAML drops '&cat'; put it in quotes"),
        ("!  A cat walks", "A cat walks", "begins with !, which YAML drops; put the text in quotes"),
    ],
)
def test_texts_that_yaml_cuts_are_said(tmp_path, style, text, kept, message):
    """A warning names the line and what YAML did to the text."""
    if style == "flow" and "#" in text:
        text += "\n  "
    loaded = yaml_set(tmp_path, text, style)
    assert loaded.sets[0].prompts[0].request.prompt == kept
    [(place, field, problem)] = problems_of(loaded)
    assert (place, field, problem[: len(message)]) == (
        f"line {4 if style == 'block' else 3}",
        "prompt",
        message,
    )


@pytest.mark.parametrize(
    "text",
    [
        '"Take 1 #sunset"',
        "'Take 1 #sunset'",
        "Take#1",
        ">\n    Take 1 #sunset",
        "&text A cat\n  tags: {text: *text}",
    ],
)
def test_texts_that_yaml_leaves_whole_are_not_mentioned(tmp_path, text):
    """Quotes, blocks, and anchors that something refers to are meant."""
    assert yaml_set(tmp_path, text).problems == ()


def test_a_comment_behind_another_field_is_one(tmp_path):
    """A comment behind another field gives no warning."""
    text = "name: a # the name\nprompts:\n- id: b # the id\n  duration: 5 # seconds\n  prompt: x\n"
    assert load(tmp_path, "a.yaml", text).problems == ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("@Image1", "@image1"),
        ("@IMAGE2", "@image2"),
        ("@图1", "@image1"),
        ("@img1", "@image1"),
        ("\uff20图片1", "@image1"),
        ("@image 1", "@image1"),
        ("@image_1", "@image1"),
        ("@images1", "@image1"),
        ("@image\uff11", "@image1"),
        ("@Video3", "@video3"),
        ("\uff20视频2", "@video2"),
        ("@vid 2", "@video2"),
        ("@Audio1", "@audio1"),
        ("@音频 1", "@audio1"),
    ],
)
def test_mentions_that_bind_nothing_are_errors(tmp_path, written, meant):
    """The vendor takes them for words, and the picture that was paid for would be ignored."""
    prompt = {"prompt": f"The cat in {written} walks", "mode": "omni_reference", "image_urls": [PNG]}
    [(_, field, message)] = problems_of(load_prompts(tmp_path, prompt))
    assert (field, message) == ("prompt", f"mentions {written}, which refers to no reference; write {meant}")


@pytest.mark.parametrize(
    "text",
    [
        "@image1 walks",
        "【@图片1】走",
        "@图片1走",
        "write to me@image1.example",
        "@home 1",
        "an image 1",
        "@imagine 2",
    ],
)
def test_other_texts_resemble_no_mention(text):
    """Real mentions, addresses and other words are left alone."""
    assert list(near_mentions(text)) == []


@pytest.mark.parametrize(
    ("flags", "meant"),
    [
        ("--ratio 16:9", ["aspect_ratio"]),
        ("--dur 10 --rs 720p", ["duration", "resolution"]),
        ("--ar 9:16 --v 6", ["aspect_ratio"]),
        ("--duration=10 --duration=10", ["duration"]),
    ],
)
def test_settings_inside_a_text_are_errors(tmp_path, flags, meant):
    """Earlier models and other services read them there; here 5 s are paid for in place of 10 s."""
    problems = problems_of(load_prompts(tmp_path, {"prompt": f"A cat {flags}"}))
    assert [(field, message.rpartition("set ")[2]) for _, field, message in problems] == [
        ("prompt", name) for name in meant
    ]


@pytest.mark.parametrize(
    "text", ["A cat -- ratio 1", "pre--ratio 1", "A cat --ratios 1", "A cat --v 6", "--dur"]
)
def test_dashes_in_a_text_are_no_settings(tmp_path, text):
    """Only whole flags with a value are."""
    assert load_prompts(tmp_path, {"prompt": text}).problems == ()


def test_texts_that_are_nearly_the_same_are_said(tmp_path):
    """Two videos are paid for what differs in blanks, case or punctuation; a warning says so."""
    loaded = load_prompts(
        tmp_path,
        {"id": "a", "prompt": "A cat walks."},
        {"id": "b", "prompt": "a  cat, walks"},
        {"id": "c", "prompt": "A cat walks", "duration": 7},
        {"id": "d", "prompt": "A cat walks."},
        {"id": "e", "prompt": "🐈"},
        {"id": "f", "prompt": "🐕"},
    )
    assert [(prompt, message[:40]) for prompt, _, message in problems_of(loaded)] == [
        ("prompt 4 (d)", "repeats the request of a, so both show o"),
        ("prompt 2 (b)", "differs from that of a only in whitespac"),
    ]
    assert len(loaded.sets[0].prompts) == 6


def test_control_characters_are_escaped(tmp_path):
    """Control characters of files are escaped, so that each problem is one line."""
    [problem] = load(
        tmp_path, "a.json", '{"name":"a","prompts":[{"prompt":"x","a\\n\\u001b[31m\\ud800":1}]}'
    ).problems
    assert "prompt 1: a\\n\\x1b[31m\\ud800 is not a field" in str(problem)


def test_a_number_in_a_tag_is_kept_as_it_is_written(tmp_path):
    """A version 3.10 is not 3.1, in tags and in texts that a matrix fills."""
    head = "name: a\nbudget_usd: 20.50\nmatrix: {zoom: [1.10]}\nprompts:\n"
    text = f"{head}- {{prompt: 'A {{zoom}} zoom', id: z, tags: {{version: 3.10, offset: -0.50}}}}\n"
    prompt = only_prompt(load(tmp_path, "a.yaml", text))
    assert prompt.request.prompt == "A 1.10 zoom"
    assert prompt.tags == {"version": "3.10", "offset": "-0.50", "zoom": "1.10", "template": "z"}


def test_a_mark_at_the_end_begins_no_second_document(tmp_path):
    """Programs that join documents leave one there."""
    text = "---\nname: a\nprompts: [{prompt: A cat}]\n---\n"
    assert only_prompt(load(tmp_path, "a.yaml", text)).request.prompt == "A cat"
    [(_, _, message)] = problems_of(load(tmp_path, "b.yaml", f"{text}name: b\n"))
    assert message.endswith("it holds a second document: a file is one set (line 4, column 1)")
