"""Sets with a matrix and a template: one prompt for each combination, with an id that lasts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompts_support import load

from seedance_dagster.prompts.matrix import PlaceholderError, filled, placeholders, value_id, variant_id
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.slugs import ID_PATTERN


def only_set(folder: Path, text: str) -> PromptSet:
    """Return the set of a YAML file without errors."""
    loaded = load(folder, "set.yaml", text)
    assert [str(problem) for problem in loaded.errors] == []
    [prompt_set] = loaded.sets
    return prompt_set


def problems_of(folder: Path, text: str) -> str:
    """Return all problems of a YAML file, one in a line."""
    return "\n".join(map(str, load(folder, "set.yaml", text).problems))


MUGS = """
name: mugs
matrix:
  resolution: [480p, 720p]
  style: [film noir, watercolour]
prompts:
  - {id: mug, prompt: "A mug in {style} style", tags: {product: mug}}
  - {id: plain, prompt: A bare table}
"""


def test_each_combination_is_a_prompt(tmp_path):
    """Fields and placeholders vary; a prompt without the placeholder varies only in the fields."""
    prompts = {prompt.id: prompt for prompt in only_set(tmp_path, MUGS).prompts}
    assert list(prompts) == [
        "mug-480p-film-noir",
        "mug-480p-watercolour",
        "mug-720p-film-noir",
        "mug-720p-watercolour",
        "plain-480p",
        "plain-720p",
    ]
    noir = prompts["mug-720p-film-noir"]
    assert (noir.request.prompt, noir.request.resolution) == ("A mug in film noir style", "720p")
    assert noir.tags == {"product": "mug", "style": "film noir", "template": "mug"}
    assert noir.variant == {"resolution": "720p", "style": "film noir"}


def test_a_template_is_filled_from_a_table(tmp_path):
    """Columns that are not fields fill the placeholders of the template, and are tags as well."""
    (tmp_path / "products.csv").write_text("product,surface\nmug,oak\nbowl,steel\n")
    text = """
name: shop
source: products.csv
template: A {product} on a table of {surface}, {mood} light, {{raw}}
matrix: {mood: [calm, harsh]}
"""
    prompts = only_set(tmp_path, text).prompts
    assert [prompt.request.prompt for prompt in prompts] == [
        "A mug on a table of oak, calm light, {raw}",
        "A mug on a table of oak, harsh light, {raw}",
        "A bowl on a table of steel, calm light, {raw}",
        "A bowl on a table of steel, harsh light, {raw}",
    ]
    assert prompts[0].tags == {
        "product": "mug",
        "surface": "oak",
        "mood": "calm",
        "template": prompts[0].tags["template"],
    }
    assert prompts[0].id.startswith("a-mug-on-a-table-of-oak")


def test_ids_do_not_depend_on_the_order_of_anything(tmp_path):
    """Other values, another order of axes, values and rows change neither an id nor a fingerprint."""
    (tmp_path / "products.csv").write_text("product\nmug\nbowl\n")
    text = "name: shop\nsource: products.csv\ntemplate: 'A {product}, {mood}'\nmatrix:\n"
    first = only_set(tmp_path, text + "  mood: [calm, harsh]\n  duration: [4, 5]\n").partitions
    (tmp_path / "products.csv").write_text("product\nbowl\nmug\nvase\n")
    second = only_set(tmp_path, text + "  duration: [5, 6, 4]\n  mood: [harsh, wild, calm]\n").partitions
    assert len(first) == 8
    assert {key: partition.fingerprint for key, partition in first.items()}.items() <= {
        key: partition.fingerprint for key, partition in second.items()
    }.items()


def test_what_a_prompt_sets_itself_does_not_vary(tmp_path):
    """A prompt's own field or tag wins over the matrix, whose values replace only defaults."""
    text = """
name: own
defaults: {duration: 9}
matrix: {duration: [4, 5], style: [calm, wild]}
prompts:
  - {id: a, prompt: "A {style} cat", duration: 7}
  - {id: b, prompt: "A {style} dog", tags: {style: tame}}
"""
    durations = {prompt.id: prompt.request.duration for prompt in only_set(tmp_path, text).prompts}
    assert durations == {"a-calm": 7, "a-wild": 7, "b-4": 4, "b-5": 5}


def test_braces_mean_nothing_without_a_matrix(tmp_path):
    """A set without a matrix keeps the braces of its texts, and so its fingerprints."""
    [prompt] = only_set(tmp_path, "name: a\nprompts: [{prompt: 'A {cat} in {{braces}}'}]").prompts
    assert prompt.request.prompt == "A {cat} in {{braces}}"


@pytest.mark.parametrize(
    ("matrix", "prompt", "problem", "more"),
    [
        (
            "{style: [calm]}",
            "A {stlye} cat",
            "prompt has {stlye}, for which neither the matrix nor a tag",
            "",
        ),
        (
            "{style: [calm]}",
            "A cat",
            "matrix.style is not a field that can vary, and no prompt contains {style}",
            "",
        ),
        (
            "{style: [calm]}",
            "A {style} {cat",
            "prompt has a stray brace (expected '}' before end of string)",
            "",
        ),
        ("{style: [calm]}", "A {style} {}", "prompt has braces that name no placeholder", ""),
        ("{style: calm}", "A {style} cat", "matrix.style is 'calm'; it must be a list of values", ""),
        ("{style: [[calm]]}", "A {style} cat", "matrix.style contains a list, a mapping or nothing", ""),
        (
            "{style: [A b, a-B]}",
            "A {style} cat",
            "matrix.style contains a value twice, or two that differ only",
            "",
        ),
        ("[style]", "A cat", "matrix must be a mapping of names to lists", ""),
        ("{duration: [4, 99]}", "A cat", "prompt 1, duration=99 (a-99): duration is 99", ""),
        *(
            (
                "{duration: [4]}",
                "A cat",
                f"max_prompts is {most}; allowed are whole numbers from 1 to",
                f"max_prompts: {most}",
            )
            for most in (0, 100_001)
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, matrix, prompt, problem, more):
    """Each mistake names the field or the prompt, and nothing of the set can be ordered."""
    text = f"""name: a
matrix: {matrix}
{more}
prompts: [{{id: a, prompt: "{prompt}"}}]
"""
    loaded = load(tmp_path, "a.yaml", text)
    assert not loaded.sets
    assert problem in "\n".join(map(str, loaded.problems))


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        (
            "max_prompts: 5",
            "max_prompts limits the prompts of a matrix or a template, and this set has neither",
        ),
        ("template: A dog", "template is for prompts without a text, and each one has a text"),
    ],
)
def test_a_field_without_effect_is_said(tmp_path, field, problem):
    """A field of a set without effect is reported."""
    assert problem in problems_of(tmp_path, f"name: a\n{field}\nprompts: [{{prompt: A cat}}]")


@pytest.mark.further
def test_too_many_combinations_are_refused_before_they_are_made(tmp_path):
    """A matrix of 10 to the 12 prompts is refused in words, at once."""
    axes = "".join(f"  a{number}: [{', '.join(map(str, range(10)))}]\n" for number in range(12))
    text = "".join(f" {{a{number}}}" for number in range(12))
    problems = problems_of(tmp_path, f"name: a\nmatrix:\n{axes}prompts: [{{prompt: '{text}'}}]")
    assert "makes 1000000000000 prompts out of 1; allowed are 10000: name fewer values" in problems


def test_two_values_that_would_share_an_id_are_refused(tmp_path):
    """A prompt whose id is that of another one's variant is an error that names both."""
    text = """
name: a
matrix: {duration: [4]}
prompts: [{id: cat, prompt: x}, {id: cat-4, prompt: y, duration: 5}]
"""
    assert "id is 'cat-4', which another prompt of this set has" in problems_of(tmp_path, text)


@given(
    st.text(max_size=60), st.lists(st.one_of(st.text(max_size=40), st.integers(), st.booleans()), max_size=6)
)
def test_ids_of_variants_are_always_allowed(base_text, values):
    """Whatever the values are, the id of a variant is one that Dagster takes, and the same each time."""
    base = value_id(base_text)
    made = variant_id(base, values, 120)
    assert ID_PATTERN.fullmatch(made)
    assert made == variant_id(base, values, 120)


@given(st.text(max_size=80))
def test_any_text_is_filled_or_refused(text):
    """A text is filled in or refused in words; texts without braces stay as they are."""
    names = []
    try:
        names = list(placeholders(text))
        result = filled(text, dict.fromkeys(names, "x"))
    except PlaceholderError:
        assert "{" in text or "}" in text
    else:
        assert result == text or "{" in text or "}" in text


def test_values_get_different_ids():
    """Values in other scripts are distinguished by a hash."""
    values = ["水墨", "水彩", "écru", "ecru", "x" * 30, "x" * 31, 4, "a/b"]
    random.Random(1).shuffle(values)
    assert len({value_id(value) for value in values}) == len(values)
