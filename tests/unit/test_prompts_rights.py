"""Rights of sets, prompts and references: their rules, and the errors of such files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prompts_support import load

from seedance_dagster.prompts.models import Prompt

SPOTS = """
name: spots
rights: {license: CC-BY-4.0, holder: Ann}
reference_rights:
  https://x.example/a.png?X-Amz-Signature=1: licensed until 2027
  references/cat.png: {holder: Bea, source: https://x.example/cats}
prompts:
  - {id: cat, prompt: A cat}
  - {id: dog, prompt: A dog, rights: "  written by Cem "}
  - id: both
    prompt: "@image1 and @image2"
    mode: omni_reference
    image_urls: [references/cat.png, https://x.example/a.png?X-Amz-Signature=2]
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "cat.png").write_bytes(b"a picture")
    return tmp_path


def prompts_of(folder: Path, text: str) -> dict[str, Prompt]:
    """Return the prompts of a YAML file without problems, by id."""
    loaded = load(folder, "set.yaml", text)
    assert [str(problem) for problem in loaded.problems] == []
    [prompt_set] = loaded.sets
    return {prompt.id: prompt for prompt in prompt_set.prompts}


def test_rights_of_a_set_are_those_of_prompts_that_name_none(folder):
    """A prompt's own rights replace those of its set; a text is kept as one right."""
    prompts = prompts_of(folder, SPOTS)
    assert prompts["cat"].rights == {"prompt": {"license": "CC-BY-4.0", "holder": "Ann"}}
    assert prompts["dog"].rights == {"prompt": {"text": "written by Cem"}}


def test_references_have_rights_of_their_own(folder):
    """By the path or link, whoever signed that again; named as the prompt counts them."""
    rights = prompts_of(folder, SPOTS)["both"].rights
    assert rights == {
        "prompt": {"license": "CC-BY-4.0", "holder": "Ann"},
        "image1": {"holder": "Bea", "source": "https://x.example/cats"},
        "image2": {"text": "licensed until 2027"},
    }


def test_rights_are_no_part_of_a_request(folder):
    """Other rights ask for the same video, which is not paid for again."""
    [before] = load(folder, "set.yaml", SPOTS).sets
    [after] = load(folder, "set.yaml", SPOTS.replace("holder: Ann", "holder: Dora")).sets
    fingerprints = [
        [partition.fingerprint for partition in spots.partitions.values()] for spots in (before, after)
    ]
    assert fingerprints[0] == fingerprints[1]
    assert after.partitions["cat"].rights != before.partitions["cat"].rights


def test_rights_of_a_table(folder):
    """A column, and the rights of the set that names the table."""
    (folder / "shots.csv").write_text("id,prompt,rights\ncat,A cat,by Ann\ndog,A dog,\n")
    text = "name: spots\nsource: shots.csv\nrights: {license: CC0-1.0}\n"
    prompts = prompts_of(folder, text)
    assert prompts["cat"].rights == {"prompt": {"text": "by Ann"}}
    assert prompts["dog"].rights == {"prompt": {"license": "CC0-1.0"}}


def test_drafts_and_finals_have_the_same_rights(folder):
    """Both are videos of one prompt."""
    text = SPOTS + "draft: {resolution: 480p}\nfinal: {resolution: 720p}\n"
    [prompt_set] = load(folder, "set.yaml", text).sets
    draft, final = (prompt_set.all_partitions[key] for key in ("both", "both.final"))
    assert draft.rights == final.rights != {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, "rights is 7; allowed are a text, or a mapping"),
        ({}, "rights is {}; allowed are a text"),
        ("", "rights is ''; allowed are a text"),
        ({"license": 4.0}, "rights is {'license': 4.0}; allowed are a text"),
        ({"licence": "CC0"}, "rights.licence is not known; allowed are"),
        ("a\0b", "rights.text contains characters that cannot be printed"),
        ("x" * 10_001, "rights has 10001 characters; allowed are 10000"),
    ],
)
@pytest.mark.parametrize("of_set", [True, False])
def test_what_are_no_rights_is_refused(folder, value, expected, of_set):
    """The message names the set or the prompt, and what is allowed."""
    prompt = {"id": "cat", "prompt": "A cat"} | ({} if of_set else {"rights": value})
    document = {"name": "spots", "prompts": [prompt]} | ({"rights": value} if of_set else {})
    loaded = load(folder, "set.json", json.dumps(document))
    assert loaded.sets == ()
    [problem] = map(str, loaded.errors)
    assert expected in problem
    assert of_set or "prompt 1 (cat)" in problem


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "references/cat.png: {",
            "references/dog.png: {",
            "reference_rights.references/dog.png is not a reference",
        ),
        ("{holder: Bea,", "{owner: Bea,", "reference_rights.references/cat.png.owner is not known"),
        ("prompts:", "defaults: {rights: mine}\nprompts:", "defaults.rights cannot be a default"),
    ],
)
def test_rights_without_effect_are_refused(folder, old, new, expected):
    """Rights of a reference that no prompt has are an error."""
    loaded = load(folder, "set.yaml", SPOTS.replace(old, new))
    assert loaded.sets == ()
    assert expected in "\n".join(map(str, loaded.errors))
