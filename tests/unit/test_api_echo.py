"""Echoes of requests: which changes of a text explain an echo, and what no change explains."""

from __future__ import annotations

import html
import unicodedata

import pytest
from api_support import REQUEST, task_data
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.echo import TEXT_CHANGES, changes_between, foreign_field, letters, undo
from seedance_dagster.api.wire import Task


@pytest.mark.parametrize(
    ("sent", "echoed", "changes"),
    [
        ("a cat", "a cat", set()),
        (" a  cat\r\n", "a cat", {"whitespace"}),
        ('a "cat" & a dog', "a &#34;cat&#34; &amp; a dog", {"html"}),
        ('a "cat" & a dog', "a &quot;cat&quot; &amp; a dog", {"html"}),
        ("a <cat>", "a &amp;lt;cat&amp;gt;", {"html"}),
        ('its "cat"', "its “cat”", {"quotes"}),
        ("cafe\N{COMBINING ACUTE ACCENT}", "café", {"unicode"}),
        ('the "cat" \n', "the &ldquo;cat&rdquo;", {"html", "quotes", "whitespace"}),
        ("a cat", "a cat.", None),
        ("a cat", "A cat", None),
        ("a cat", "a dog", None),
    ],
)
def test_the_fewest_changes_that_explain_an_echo(sent, echoed, changes):
    """A change counts only where nothing less explains the echo; other differences are not explained."""
    assert changes_between(sent, echoed) == (None if changes is None else frozenset(changes))


@given(st.text(max_size=30), st.sets(st.sampled_from(sorted(TEXT_CHANGES))))
def test_what_changes_explain_is_equal_without_them(text, names):
    """An explanation makes the two texts equal, and all changes together are at least as wide."""
    echoed = undo(text, names)
    changes = changes_between(text, echoed)
    assert changes is not None
    assert undo(text, changes) == undo(echoed, changes)


@given(st.text(max_size=30))
def test_no_change_of_the_vendor_s_alters_the_letters(text):
    """Escaping, trimming, composing and curling never make a text look like another one."""
    for echoed in (
        html.escape(text),
        html.escape(text, quote=False),
        f" {text}\n",
        unicodedata.normalize("NFC", text),
        unicodedata.normalize("NFD", text),
    ):
        assert letters(echoed) == letters(text) or "&" in text or not any(map(str.isalnum, text))


@pytest.mark.parametrize(("one", "other"), [("a cat", "a dog"), ("🐱", "🐶"), ("cat 1", "cat 2")])
def test_other_letters_are_another_text(one, other):
    """Texts without letters are compared as they are."""
    assert letters(one) != letters(other)


def test_the_capitals_of_an_echoed_type_make_no_difference():
    """A task of the type that was sent is the answer, however the type is spelled."""
    assert foreign_field(Task.parse(task_data(task_type="Seedance-2-Fast\t")), REQUEST) is None
    assert foreign_field(Task.parse(task_data(task_type="Seedance-2")), REQUEST) == "task type"
