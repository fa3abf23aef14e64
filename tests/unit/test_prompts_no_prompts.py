"""Texts that are not prompts, and files that are not prompt files: none of their lines is paid for."""

from __future__ import annotations

import gzip

import pytest
from prompts_support import load, only_prompt, problems_of

CAT = "A cat in the rain"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    "text",
    ["nan", "NaN", "None", "NULL", "n/a", "<NA>", "#N/A", "#REF!", "#NAME?", "#BEZUG!", "---", ".", "["],
)
@pytest.mark.parametrize(("name", "header"), [("a.csv", "prompt\n"), ("a.txt", "")])
def test_what_stands_for_no_value_is_no_prompt(tmp_path, name, header, text):
    """A cell or line that pandas and spreadsheets write where there is nothing is an error of its row."""
    loaded = load(tmp_path, name, f"{header}{CAT}\n{text}\n")
    [(_, field, message)] = problems_of(loaded)
    assert (field, message) == ("prompt", f"is {text!r}, which is not a prompt; write one, or remove it")
    assert [prompt.request.prompt for prompt in loaded.sets[0].prompts] == [CAT]


@pytest.mark.parametrize(
    "text",
    [
        "K\ufffdtzchen",
        "\x1b$BG-$,Av$k\x1b(B",
        "\x1b[1mA cat\x1b[0m",
        "A cat\x92s toy",
        "A\x1fcat",
        "A \x0c cat",
    ],
)
def test_a_text_that_was_damaged_before_is_no_prompt(tmp_path, text):
    """Lost letters, and the marks of other encodings and of terminals, are named and not paid for."""
    [(_, _, message)] = problems_of(load(tmp_path, "a.txt", text))
    assert message.startswith("contains characters that cannot be sent")


@pytest.mark.parametrize(
    "text", ["Café à la crème", "It\u2019s cold", "5 °C \u2013 warm", "Größe ½", "señor"]
)
def test_a_text_that_was_read_in_the_wrong_encoding_is_named(tmp_path, text):
    """UTF-8 that was saved again as Windows-1252 is not paid for; the text itself is no problem."""
    damaged = text.encode().decode("cp1252", "replace").replace("\ufffd", "")
    [(_, _, message)] = problems_of(load(tmp_path, "a.txt", damaged))
    assert "was lost in another encoding; write it again" in message
    assert load(tmp_path, "b.txt", f"{text}\nÂme, ÇA, ÄÖÜ, SÃO\n").problems == ()


@pytest.mark.parametrize(
    "text",
    [
        *("\u2014", "\u2026", "\u3002", "\u00b7", "\\N", "(null)", "<null>", "[object Object]"),
        *("TODO", "tbd", "XXX", "Loading...", "{prompt}", "{{ prompt }}", "${PROMPT}", "$prompt", "%s"),
        "<insert the prompt here>",
    ],
)
def test_a_text_that_stands_for_one_is_no_prompt(tmp_path, text):
    """A prompt that is still to be written, or a placeholder that nothing filled, is not paid for."""
    [(_, field, message)] = problems_of(load(tmp_path, "a.csv", f'prompt\n"{text}"\n'))
    assert (field, message) == ("prompt", f"is {text!r}, which is not a prompt; write one, or remove it")


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "7",
        "{cat} runs",
        "<b>cat</b>",
        "Todo list on a wall",
        "猫",
        "\U0001f408",
        "5 $ note",
        "{a cat, 4k}",
        "<a cat on a roof>",
        "{'shot': 'wide', 'subject': 'cat'}",
    ],
)
def test_short_and_odd_texts_are_prompts(tmp_path, text):
    """A single letter, picture or number may be a prompt."""
    assert only_prompt(load(tmp_path, "a.csv", f'prompt\n"{text}"\n')).request.prompt == text


@pytest.mark.parametrize("marker", ["NaN", "NA", "None", "null", "<NA>", "#N/A", "n/a"])
def test_a_cell_without_a_value_is_empty_however_it_is_written(tmp_path, marker):
    """The fields of such cells have their defaults."""
    header = "prompt,id,duration,audio,image_urls,mode,aspect_ratio"
    prompt = only_prompt(load(tmp_path, "a.csv", f"{header}\n{CAT}{f',{marker}' * 6}\n"))
    assert (prompt.request.duration, prompt.request.audio, prompt.request.image_urls) == (5, None, ())


@pytest.mark.parametrize(
    ("written", "ratio"), [("16:09", "16:9"), ("09:16", "9:16"), ("04:03:00", "4:3"), (" 21:9 ", "21:9")]
)
def test_a_ratio_that_a_spreadsheet_took_for_a_time_is_read(tmp_path, written, ratio):
    """A ratio that a spreadsheet took for a time, such as 16:09, is read."""
    prompt = only_prompt(load(tmp_path, "a.csv", f"prompt,aspect_ratio\n{CAT},{written}\n"))
    assert prompt.request.aspect_ratio == ratio


@pytest.mark.parametrize(
    ("first", "ending"),
    [
        ("prompt", ".csv"),
        ("id;Prompt;duration", ".csv"),
        ("prompt\tduration", ".tsv"),
        ('{"prompt": "A cat"}', ".jsonl"),
        ("[", ".json"),
        ('["A cat", "A dog"]', ".json"),
        ("prompts:", ".yaml"),
        ("- prompt: A cat", ".yaml"),
        ("---", ".yaml"),
    ],
)
def test_a_text_file_of_another_format_is_refused(tmp_path, first, ending):
    """Neither its header nor its brackets are paid for; Excel saves tables with tabs as .txt (p4)."""
    [(prompt, _, message)] = problems_of(load(tmp_path, "a.txt", f"{first}\nA cat, running\n"))
    assert prompt is None
    assert message.startswith(f"begins like a {ending} file, with {first!r}; rename it to {ending}")


def test_lines_of_json_in_a_json_file_say_how_to_name_it(tmp_path):
    """Programs export one object on each line as .json too."""
    [(_, _, message)] = problems_of(load(tmp_path, "a.json", '{"prompt": "A cat"}\n{"prompt": "A dog"}\n'))
    assert message == (
        "is not valid JSON: Extra data (line 2, column 1); name a file with one object on each line .jsonl"
    )


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        ("GOAPI_API_KEY=s3cret", "settings"),
        ('name = "s3cret"', "settings"),
        ("[prompts]", "settings"),
        ("-----BEGIN s3cret KEY-----", "a key or a certificate"),
        ('<?xml version="1.0"?><Error/>', "XML"),
        ("<Error><Code>AccessDenied</Code></Error>", "XML"),
        ("404: Not Found", "the error of a download"),
        ('"A cat",', "a list in a program"),
        ("User: write two prompts", "a chat"),
        ("INSERT INTO prompts VALUES (1, 'A cat');", "SQL"),
    ],
)
def test_a_text_file_that_holds_something_else_is_refused(tmp_path, first, kind):
    """Neither settings, keys nor what a download left behind are sent to the vendor, or quoted."""
    message = f"begins like {kind}; keep only prompts in it, one on each line"
    assert problems_of(load(tmp_path, "a.txt", f"{first}\nA cat\n")) == [(None, None, message)]


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.yaml"])
@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"ARROW1\0\0\xff\xff\xff\xff\0\0", b"\x80\x04\x95\0\0"]
)
def test_a_file_that_is_not_text_is_not_taken_for_another_encoding(tmp_path, name, content):
    """Pictures and packed tables are not UTF-16 or Latin-1."""
    message = "is not text; give it the extension of its kind, or save it as text"
    assert problems_of(load(tmp_path, name, content)) == [(None, None, message)]


@pytest.mark.parametrize(
    "first",
    [
        "A prompt, read aloud",
        "[wide shot] A cat",
        "Prompt engineer at work",
        "{style} cat",
        "Name: Ann",
        "<lora:cat:1> A cat",
        '"Stop," she says',
        "E = mc2 on a wall",
        "Not found by anyone",
        "Userland at dawn",
        "Select few walk away",
    ],
)
def test_a_text_that_only_begins_like_another_format_is_read(tmp_path, first):
    """A text that only begins like another format is read, brackets and commas included."""
    assert only_prompt(load(tmp_path, "a.txt", first)).request.prompt == first


def test_a_comment_in_a_text_file_is_said(tmp_path):
    """Every line is a prompt, also one that begins with #; a warning names it."""
    loaded = load(tmp_path, "a.txt", f"# wave 2\r{CAT}\r")
    assert [(place, field) for place, field, _ in problems_of(loaded)] == [("line 1", "prompt")]
    assert [prompt.request.prompt for prompt in loaded.sets[0].prompts] == ["# wave 2", CAT]


def test_a_header_that_is_repeated_is_no_prompt(tmp_path):
    """A repeated header, as in concatenated files, is not a prompt."""
    loaded = load(tmp_path, "a.csv", f"prompt,wave\n{CAT},1\nprompt,wave\nA dog,2\n")
    [(place, _, message)] = problems_of(loaded)
    assert (place, message[:18]) == ("line 3", "repeats the header")
    assert len(loaded.sets[0].prompts) == 2


@pytest.mark.parametrize("suffix", ["txt", "csv", "jsonl", "json", "yaml"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LFS, "is a pointer of Git LFS, not the file itself; run: git lfs pull"),
        (
            "\n<!DOCTYPE html>\n<html>",
            "is an HTML page, such as one that asks to log in; download the file itself",
        ),
        (
            f"{CAT}\n<<<<<<< HEAD\nA dog\n=======\nA fox\n>>>>>>> main\n",
            "has a merge conflict that is not resolved (line 2)",
        ),
        (
            gzip.compress(b"prompt", mtime=0),
            "is not text but a gzip file; give it the extension of its kind, or save it as text",
        ),
        (b"PK\x03\x04\x14\0", "is not text but an Excel workbook or another zip file; give it the extension"),
        ("A cat\nA dog\n".encode("utf-16-be"), "is not UTF-8 text: it looks like UTF-16 without its mark"),
    ],
)
def test_a_file_that_is_something_else_is_refused_as_a_whole(tmp_path, suffix, content, message):
    """One problem says what it is and what to do."""
    [(prompt, _, problem)] = problems_of(load(tmp_path, f"a.{suffix}", content))
    assert (prompt, problem[: len(message)]) == (None, message)


def test_a_pointer_in_the_place_of_a_packed_file_is_named(tmp_path):
    """A Git LFS pointer in place of a packed file is named."""
    [(_, _, message)] = problems_of(load(tmp_path, "a.parquet", LFS))
    assert message == "is a pointer of Git LFS, not the file itself; run: git lfs pull"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.yaml",
            "name: a\nprompts:\n\t- prompt: x\n",
            "(line 3, column 1); indent with spaces instead of tabs",
        ),
        (
            "a.yaml",
            "name: a\n---\nprompts: []\n",
            "it holds a second document: a file is one set (line 2, column 1)",
        ),
        (
            "a.yaml",
            "name: a\nprompts:\n  - prompt: 'tis a cat\n    id: x\n",
            "(line 3, column 13); put the text after 'prompt:' in line 3 in quotes",
        ),
        (
            "a.json",
            '{"data": [{"prompt": "x"}]}',
            "is not a prompt set, which has name and prompts; its fields are 'data'. A",
        ),
        (
            "a.jsonl",
            '[\n{"prompt": "x"}\n]',
            "is a JSON list, not one object on each line; rename it to .json",
        ),
        (
            "a.tsv",
            'prompt\tid\n"Stop" she says\tx\n',
            '; double each " inside a text, and put the text in quotes',
        ),
    ],
)
def test_a_file_of_another_shape_is_one_problem_with_what_to_do(tmp_path, name, content, message):
    """A file of another shape is one problem, whose advice leads to a readable file."""
    [(place, _, problem)] = problems_of(load(tmp_path, name, content))
    assert place is None
    assert message in problem
