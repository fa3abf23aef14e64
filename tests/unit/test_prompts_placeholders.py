"""Cells in the column of prompts that hold something else: totals, formulas, file names, damaged letters."""

# ruff: noqa: RUF001  letters that resemble others are what these tests are about

from __future__ import annotations

import json

import pytest
from prompts_support import load, only_prompt, problems_of

from seedance_dagster.prompts import load_prompt_sets
from seedance_dagster.prompts.misread import misread_part


@pytest.mark.parametrize(
    "text",
    [
        *("Total", "Total:", "TOTALS", "Sum (12)", "Grand total: 24", "Gesamt", "Summe:", "合计", "Итого: 7"),
        *("ditto", "(same as above)", "see above", "s.o.", "同上"),
        *(
            "(tbd)",
            "[TODO]",
            "N.A.",
            "FIXME!",
            "Scene:",
            "Prompt",
            "[insert prompt]",
            "Your prompt here",
        ),
        *("Lorem ipsum dolor sit amet", "TRUE", "false", "string"),
        *("=A2", "=$B$3&C3", "='Shots'!A2", '="A cat"', "=CONCATENATE(A1)", "= A2 + B2", "Err:502"),
        *("https://x.example/a cat.png".replace(" ", "-"), "s3://shots/cat.mp4", "cat.PNG", "refs/cat.jpg"),
        *("['A cat in the rain']", '["A cat", "A dog"]', "b'A cat in the rain'", "('A cat',)"),
        '{"prompt": "A cat", "duration": 10}',
        "#GETTING_DATA",
        *(
            "Here are 2 prompts:",
            "Sure! Here are ten prompts for your campaign:",
            "Let me know if you need more!",
        ),
        *("Feel free to adapt them.", "Would you like me to add camera moves?", "I hope this helps!"),
        "00:00:01,000 --> 00:00:04,000",
    ],
)
def test_a_cell_that_holds_something_else_is_no_prompt(tmp_path, text):
    """The row is named and not paid for, while the others are ordered."""
    rows = f"{json.dumps({'prompt': 'A dog'})}\n{json.dumps({'prompt': text})}\n"
    loaded = load(tmp_path, "a.jsonl", rows)
    [(place, field, message)] = problems_of(loaded)
    assert (place, field, message.endswith("is not a prompt; write one, or remove it")) == (
        "line 2",
        "prompt",
        True,
    )
    assert len(loaded.sets[0].prompts) == 1


@pytest.mark.parametrize(
    "text",
    [
        *(
            "A total eclipse",
            "Sum of all parts",
            "Same cat as in the first shot",
            "Text on a wall",
            "Average Joe",
        ),
        *("prompt 3", "Scene 1", "Video 12", "test", "Text 7."),  # of whoever tries it out
        *(
            "=^.^= a cat",
            "== A FOX RUNS ==",
            "E = mc2",
            "cat.png on an old screen",
            "https://x.example on a screen",
        ),
        *(
            '["EXIT" in neon], a cat',
            '"Stop", she says, "now"',
            "{'shot': 'wide', 'subject': 'cat'}",
            "Err on a sign",
        ),
    ],
)
def test_a_text_that_only_resembles_such_a_cell_is_a_prompt(tmp_path, text):
    """A sentence with such words is ordered."""
    assert only_prompt(load(tmp_path, "a.jsonl", json.dumps({"prompt": text}))).request.prompt == text


@pytest.mark.parametrize(
    ("text", "encodings"),
    [
        ("Привет, мир", ("cp1252", "cp1251")),
        ("Γειά σου", ("cp1252",)),
        ("猫が走る", ("cp1252",)),
        ("مرحبا", ("cp1252",)),
        ("A happy cat 😀", ("cp1252",)),
        ("Élan, Über, Ça", ("cp1252",)),
        ("A cat’s café", ("cp1252", "cp1251", "mac_roman", "cp437", "cp850")),
        ("größer", ("mac_roman", "cp437", "cp850")),
        ("señor", ("mac_roman", "cp437", "cp850")),
    ],
)
def test_every_script_is_recognized_when_it_was_misread(text, encodings):
    """UTF-8 that Windows, a Mac or a command line took for its own encoding is found."""
    assert misread_part(text) is None
    for encoding in encodings:
        assert misread_part(text.encode().decode(encoding, "ignore")), encoding


@pytest.mark.parametrize(
    "text",
    [
        *("»Spaß« im Garten", "ÄÖÜ… und mehr", "l’été “café…” é—è", "ÉTÉ «À»", "√2 and √π", "¬p"),
        *("Роза и Сад. СССР", "«Россия» — РФ", "Øre – Ø 5 mm", "MAÇÃ – IRMÃ”", "a × b"),
    ],
)
def test_quotes_and_dashes_after_letters_are_not_taken_for_damage(text):
    """A letter may stand before a quote, a dash or an ellipsis."""
    assert misread_part(text) is None


def test_a_mark_that_was_saved_again_as_text_does_not_hide_the_first_column(tmp_path):
    """The ids of such a file are ids, and not a tag."""
    loaded = load(tmp_path, "a.csv", "ï»¿id,prompt\ncat,A cat\n")
    assert only_prompt(loaded).id == "cat"


@pytest.mark.parametrize("column", ["skip", "Enabled", "is_active", "Include?", "Approved"])
def test_a_column_that_may_switch_rows_off_is_named(tmp_path, column):
    """It is a tag, and a warning says that every row is ordered."""
    loaded = load(tmp_path, "a.csv", f"prompt,{column}\nA cat,no\n")
    assert only_prompt(loaded).tags == {column: "no"}
    message = "is kept as a tag: every row is ordered, whatever it says; delete rows that should not be"
    assert problems_of(loaded) == [(None, f"column '{column}'", message)]


@pytest.mark.parametrize("value", ["NaN", "null", "n/a", "#N/A", "TODO", "=A2", "{animal}", "undefined"])
def test_a_placeholder_is_not_filled_with_such_a_cell(tmp_path, value):
    """The row is named and not paid for; words that may be meant are kept."""
    (tmp_path / "shots.csv").write_text(f"animal,hat\nfox,none\n{value},red\n")
    text = "name: a\nsource: shots.csv\ntemplate: A {animal} with a hat ({hat})\n"
    loaded = load(tmp_path, "a.yaml", text)
    [problem] = load_prompt_sets(tmp_path).errors
    assert (problem.prompt, problem.field) == ("shots.csv, line 3", "prompt")
    assert problem.message == f"has {{animal}}, whose value is {value!r}; write one"
    assert [prompt.request.prompt for prompt in loaded.sets[0].prompts] == ["A fox with a hat (none)"]


def test_one_column_is_not_two_fields(tmp_path):
    """A column that two fields name would leave one of them empty."""
    (tmp_path / "shots.csv").write_text("caption\nA fox\n")
    loaded = load(tmp_path, "a.yaml", "name: a\nsource: shots.csv\ncolumns: {prompt: caption, id: caption}\n")
    [(_, _, message)] = problems_of(loaded)
    assert message.endswith("has one column 'caption' for columns.prompt and columns.id; name another one")
