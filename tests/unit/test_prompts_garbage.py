"""Files with any content: loading gives sets or problems, and never raises."""

from __future__ import annotations

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.prompts import format_problems
from seedance_dagster.prompts.assembly import PROMPT_FIELDS
from seedance_dagster.prompts.loading import _check_file
from seedance_dagster.prompts.places import PromptFiles
from seedance_dagster.prompts.prompt_file import TABLES, PromptFile

CATALOG = Catalog.load()
SET_FIELDS = ("name", "prompts", "defaults", "budget_usd", "scores", "accept")
SUFFIXES = st.sampled_from([".yaml", ".json", *TABLES])
any_text = st.text(st.characters(exclude_categories=()), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.sampled_from(
        ["A cat in @image1", "omni_reference", "first_last_frames", "https://x.example/a.png", "16:9"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=2),
    max_leaves=5,
)
nearly = st.fixed_dictionaries(
    {"prompt": any_text},
    optional={
        "id": any_text | st.integers(),
        "takes": st.integers(1, 3),
        "tags": st.dictionaries(any_text, any_text | st.floats(), max_size=2),
        "duration": st.integers(4, 15) | values,
        "aspect_ratio": st.sampled_from(CATALOG.limits.loosest.aspect_ratios) | values,
    },
)
prompts = nearly | st.dictionaries(st.sampled_from(PROMPT_FIELDS) | any_text, values, max_size=6)
documents = (
    st.fixed_dictionaries(
        {
            "name": st.just("a") | values,
            "prompts": st.lists(nearly, max_size=1) | st.lists(prompts, max_size=3) | values,
        },
        optional={"defaults": prompts | values, "budget_usd": values, "x": values},
    )
    | values
)
syntax = st.text("ab1:- \n{}[]&*!|>'\"#%@,?~.<0xe=\\\t", max_size=60).map(str.encode)


def check(suffix: str, content: bytes) -> None:
    file = PromptFile(f"a{suffix}", None, lambda: content)
    checked = _check_file(file, PromptFiles([file]), CATALOG, None)
    prompt_set, problems = checked.prompt_set, checked.problems
    errors = [problem for problem in problems if problem.severity == "error"]
    if suffix in TABLES:
        assert prompt_set is not None or errors
    elif suffix != ".json" or not content.startswith(b"["):
        assert (prompt_set is None) == bool(errors)
    report = format_problems(problems)
    assert len(report.split("\n")) == max(1, len(problems))
    report.encode()
    if prompt_set is not None:
        for partition in prompt_set.partitions.values():
            json.dumps([partition.request.to_wire(), partition.tags], ensure_ascii=False).encode()


@given(SUFFIXES, st.binary(max_size=80) | syntax)
def test_any_bytes(suffix, content):
    """Bytes that are not prompts are reported."""
    check(suffix, content)


@given(documents)
def test_any_document(document):
    """Each prompt of a set that loads from any JSON can be sent and stored."""
    check(".json", json.dumps(document).encode())


@given(st.lists(nearly | st.builds(dict, nearly, x=values), max_size=2) | st.lists(prompts, max_size=3))
def test_any_rows(rows):
    """Each prompt of a set that loads from any rows can be sent and stored."""
    check(".jsonl", "\n".join(map(json.dumps, rows)).encode())


@given(documents)
def test_any_yaml(document):
    """Each prompt of a set that loads from any YAML can be sent and stored."""
    check(".yaml", yaml.dump(document, allow_unicode=False).encode("utf-8", "replace"))


@given(st.lists(st.lists(st.sampled_from(PROMPT_FIELDS) | any_text, max_size=5), max_size=4))
def test_any_cells(rows):
    """Each prompt of a set that loads from any cells can be sent and stored."""
    check(".csv", "\n".join(["prompt,id", *(",".join(row) for row in rows)]).encode("utf-8", "replace"))
